// What our reader says of many safetensors files, for tests/safetensors_parity.py.
//
// stdin: files, each after its length (8 bytes, little-endian). stdout: a line a file, of fields
// separated by tabs: "reject", code, offset, message; or "accept", then a field
// "m:<key>:<value>" for each pair of metadata and "t:<name>:<dtype>:<shape>:<begin>:<end>" for each
// tensor, strings in hex.

#include <cstdio>
#include <iostream>
#include <span>
#include <string>

#include <fmt/format.h>

#include "base/result.h"
#include "base/text.h"
#include "formats/safetensors.h"

namespace weighbridge {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

base::Result<formats::SafetensorsTable> parse_file(std::span<const std::byte> file) {
  const base::Range header = TRY(formats::safetensors_header(file, file.size()));
  return formats::parse_safetensors(file.subspan(header.begin, header.size()), header, file.size());
}

std::string verdict_on(std::span<const std::byte> file) {
  const auto table = parse_file(file);
  if (!table.ok()) {
    const base::Error& error = table.error();
    return fmt::format("reject\t{}\t{}\t{}",
                       base::facts(error.code()).name,
                       error.offset() ? std::to_string(*error.offset()) : "",
                       error.message());
  }
  std::string line = "accept";
  for (const auto& [key, value] : table->metadata) {
    line += fmt::format("\tm:{}:{}", base::to_hex(bytes_of(key)), base::to_hex(bytes_of(value)));
  }
  for (const model::TensorEntry& tensor : table->tensors) {
    line += fmt::format("\tt:{}:{}:{}:{}:{}",
                        base::to_hex(std::as_bytes(std::span(tensor.name))),
                        model::name_of(tensor.dtype),
                        fmt::join(tensor.shape, ","),
                        tensor.bytes.begin,
                        tensor.bytes.end);
  }
  return line;
}

// The next file; false at the end of the stream.
bool read_file(std::istream& in, std::string& file) {
  std::uint64_t length = 0;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    const int byte = in.get();
    if (byte == std::istream::traits_type::eof()) {
      return false;
    }
    length |= static_cast<std::uint64_t>(byte) << shift;
  }
  file.resize(length);
  in.read(file.data(), static_cast<std::streamsize>(length));
  return in.good();
}

}  // namespace
}  // namespace weighbridge

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string file; weighbridge::read_file(std::cin, file);) {
    std::cout << weighbridge::verdict_on(weighbridge::bytes_of(file)) << '\n';
  }
  return 0;
}
