#include "model/tensor.h"

#include <map>

#include <gtest/gtest.h>

namespace weighbridge::model {
namespace {

// What the `safetensors` 0.8 package knows.
const std::map<std::string_view, std::uint64_t>& known_bits() {
  static const std::map<std::string_view, std::uint64_t> bits = {
      {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64},
  };
  return bits;
}

TEST(Dtype, every_name_of_the_format_is_known_with_its_size_and_printed_back) {
  for (const auto& [name, bits] : known_bits()) {
    const auto dtype = dtype_named(name);
    ASSERT_TRUE(dtype) << name;
    EXPECT_EQ(bits_of(*dtype), bits) << name;
    EXPECT_EQ(name_of(*dtype), name);
  }
}

TEST(Dtype, only_the_exact_spelling_is_a_name) {
  for (const std::string_view name : {"", "f32", "F32 ", "E8M0", "F8", "FLOAT", "C128", "U4"}) {
    EXPECT_FALSE(dtype_named(name)) << name;
  }
}

}  // namespace
}  // namespace weighbridge::model
