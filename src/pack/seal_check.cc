#include "pack/seal_check.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/seal.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;

Error contradicts(std::string_view path, std::string_view why) {
  return {
      Code::kCorrupt,
      fmt::format(
          "the seal contradicts the manifest that names it: '{}' {}", base::printable(path), why)};
}

Result<void> compare(const formats::SealedFile& sealed, const model::File& file) {
  if (file.size != sealed.size) {
    return contradicts(
        sealed.path,
        fmt::format("has {} bytes in the artifact, {} in the seal", file.size, sealed.size));
  }
  if (file.sha256 && *file.sha256 != sealed.sha256) {
    return contradicts(sealed.path,
                       fmt::format("has the SHA-256 {} in the artifact, {} in the seal",
                                   file.sha256->hex(),
                                   sealed.sha256.hex()));
  }
  if (file.root && *file.root != sealed.root) {
    return contradicts(sealed.path,
                       fmt::format("has the BLAKE3 {} in the artifact, {} in the seal",
                                   file.root->hex(),
                                   sealed.root.hex()));
  }
  return {};
}

Result<void> compare_all(const formats::Seal& seal, std::span<const model::File> files) {
  for (const formats::SealedFile& sealed : seal.files) {
    const auto file = std::ranges::lower_bound(files, sealed.path, {}, &model::File::path);
    if (file == files.end() || file->path != sealed.path) {
      return contradicts(sealed.path, "is not in the artifact");
    }
    TRY(compare(sealed, *file));
  }
  for (const model::File& file : files) {
    if (!std::ranges::binary_search(seal.files, file.path, {}, &formats::SealedFile::path)) {
      return contradicts(file.path, "is in the artifact, and not in the seal");
    }
  }
  return {};
}

}  // namespace

Result<void> check_seal(std::span<const std::byte> seal,
                        std::span<const model::File> files,
                        const std::string& seal_name) {
  const auto parsed = formats::parse_seal(seal);
  if (!parsed.ok()) {
    return {};
  }
  auto agrees = compare_all(parsed.value(), files);
  return agrees.ok() ? std::move(agrees) : std::move(agrees).error().in_file(seal_name);
}

}  // namespace weighbridge::pack
