#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weighbridge::formats::testing {

// One U8 tensor of a made-up file; its bytes follow from its name, so any test can check them.
struct MadeTensor {
  std::string name;
  std::uint64_t bytes = 0;
};

// What the tensor of that name holds.
std::vector<std::byte> bytes_of_tensor(const MadeTensor& tensor);

// A well-formed safetensors file of those tensors in that order; the header is padded with spaces
// to at least `header_bytes`.
std::vector<std::byte> make_safetensors(const std::vector<MadeTensor>& tensors,
                                        std::uint64_t header_bytes = 0);

}  // namespace weighbridge::formats::testing
