#include "formats/testing/safetensors_writer.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <string_view>

#include <fmt/format.h>

namespace weighbridge::formats::testing {
namespace {

void append(std::vector<std::byte>& to, const void* from, std::size_t count) {
  const std::size_t at = to.size();
  to.resize(at + count);
  if (count > 0) {
    std::memcpy(to.data() + at, from, count);
  }
}

}  // namespace

std::vector<std::byte> bytes_of_tensor(const MadeTensor& tensor) {
  std::mt19937_64 random(std::hash<std::string>()(tensor.name));
  std::vector<std::byte> bytes(tensor.bytes);
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min(sizeof(word), bytes.size() - i));
  }
  return bytes;
}

std::vector<std::byte> make_safetensors(const std::vector<MadeTensor>& tensors,
                                        std::uint64_t header_bytes) {
  std::string header = "{";
  std::uint64_t at = 0;
  for (const MadeTensor& tensor : tensors) {
    header += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})",
                          header.size() > 1 ? "," : "",
                          tensor.name,
                          tensor.bytes,
                          at,
                          at + tensor.bytes);
    at += tensor.bytes;
  }
  header += "}";
  header.resize(std::max<std::size_t>((header.size() + 7) / 8 * 8, header_bytes), ' ');
  std::vector<std::byte> file;
  const std::uint64_t length = header.size();
  append(file, &length, sizeof(length));
  append(file, header.data(), header.size());
  for (const MadeTensor& tensor : tensors) {
    const std::vector<std::byte> bytes = bytes_of_tensor(tensor);
    append(file, bytes.data(), bytes.size());
  }
  return file;
}

}  // namespace weighbridge::formats::testing
