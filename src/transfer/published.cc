#include "transfer/published.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "model/snapshot.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kPublishedFirstLine = "weighbridge published 1\n";
constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kSumLineBytes = 4 + kHexDigits + 1;  // "sum <hex>\n"

std::string sum_line(std::string_view text) {
  return fmt::format("sum {}\n", hash::hash_bytes(std::as_bytes(std::span(text))).hex());
}

// "<id> <root> <size> <path>"
std::optional<PublishedFile> parse_line(std::string_view line) {
  constexpr std::size_t kSizeAt = 2 * (kHexDigits + 1);
  const std::size_t size_end = line.find(' ', std::min(line.size(), kSizeAt));
  if (size_end == std::string_view::npos || line[kHexDigits] != ' ' || line[kSizeAt - 1] != ' ') {
    return std::nullopt;
  }
  const auto id = hash::Root::from_hex(line.substr(0, kHexDigits));
  const auto root = hash::Root::from_hex(line.substr(kHexDigits + 1, kHexDigits));
  const std::string_view digits = line.substr(kSizeAt, size_end - kSizeAt);
  const auto size = base::parse_decimal(digits);
  const std::string_view path = line.substr(size_end + 1);
  if (!id || !root || !size || fmt::format("{}", *size) != digits ||
      !model::is_snapshot_path(path)) {
    return std::nullopt;
  }
  return PublishedFile{*id, *root, *size, std::string(path)};
}

Error malformed() {
  return Error(Code::kCorrupt, "the record of what a pull published is damaged");
}

}  // namespace

std::vector<std::byte> write_published(std::span<const PublishedFile> files) {
  std::string text(kPublishedFirstLine);
  for (const PublishedFile& file : files) {
    fmt::format_to(std::back_inserter(text),
                   "{} {} {} {}\n",
                   file.id.hex(),
                   file.root.hex(),
                   file.size,
                   file.path);
  }
  text += sum_line(text);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Result<std::vector<PublishedFile>> parse_published(std::span<const std::byte> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kPublishedFirstLine) ||
      text.size() < kPublishedFirstLine.size() + kSumLineBytes) {
    return malformed();
  }
  const std::string_view summed = text.substr(0, text.size() - kSumLineBytes);
  if (sum_line(summed) != text.substr(summed.size())) {
    return malformed();
  }
  std::vector<PublishedFile> files;
  std::string_view rest = summed.substr(kPublishedFirstLine.size());
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    auto file = end == std::string_view::npos ? std::nullopt : parse_line(rest.substr(0, end));
    if (!file) {
      return malformed();
    }
    files.push_back(*std::move(file));
    rest.remove_prefix(end + 1);
  }
  return files;
}

}  // namespace weighbridge::transfer
