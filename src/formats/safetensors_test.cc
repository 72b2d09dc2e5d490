#include "formats/safetensors.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighbridge::formats {
namespace {

using base::Code;
using base::Range;
using base::Result;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string little_endian(std::uint64_t value) {
  std::string bytes;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    bytes += static_cast<char>((value >> shift) & 0xFFU);
  }
  return bytes;
}

// A whole file as its reader takes it: prefix first, then the header.
Result<SafetensorsTable> parse_file(std::string_view file) {
  const Range header = TRY(safetensors_header(bytes_of(file.substr(0, 8)), file.size()));
  return parse_safetensors(bytes_of(file.substr(header.begin, header.size())), header, file.size());
}

std::string file_of(std::string_view header, std::size_t data_bytes) {
  return little_endian(header.size()) + std::string(header) + std::string(data_bytes, '\x5A');
}

std::string tensor(std::string_view name,
                   std::string_view dtype,
                   std::string_view shape,
                   std::string_view offsets) {
  return fmt::format(
      R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

TEST(Safetensors, a_file_becomes_a_table_in_order_of_bytes_with_absolute_offsets) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)" +
                             tensor("second", "BF16", "[2,3]", "[4,16]") + "," +
                             tensor("first", "F32", "[]", "[0,4]") + "}   ";
  const auto table = parse_file(file_of(header, 16));
  ASSERT_TRUE(table.ok()) << table.error().message();
  const std::uint64_t data = 8 + header.size();
  EXPECT_EQ(table.value().header, (Range{8, data}));
  EXPECT_THAT(table.value().metadata, testing::ElementsAre(testing::Pair("format", "pt")));
  const auto& tensors = table.value().tensors;
  ASSERT_EQ(tensors.size(), 2U);
  EXPECT_EQ(tensors[0].name, "first");
  EXPECT_EQ(tensors[0].dtype, model::Dtype::kF32);
  EXPECT_THAT(tensors[0].shape, testing::IsEmpty());
  EXPECT_EQ(tensors[0].bytes, (Range{data, data + 4}));
  EXPECT_EQ(tensors[1].name, "second");
  EXPECT_EQ(tensors[1].dtype, model::Dtype::kBf16);
  EXPECT_THAT(tensors[1].shape, testing::ElementsAre(2, 3));
  EXPECT_EQ(tensors[1].bytes, (Range{data + 4, data + 16}));
}

struct Good {
  const char* rule;
  std::string header;
  std::size_t data_bytes;
  std::size_t tensors;
};

TEST(Safetensors, what_the_format_allows_is_accepted) {
  const std::string deep = std::string(125, '[') + std::string(125, ']');
  std::string ones = "1";
  for (int i = 1; i < 64; ++i) {
    ones += ",1";
  }
  const std::vector<Good> cases = {
      {"no tensors", "{}", 0, 0},
      {"white space inside",
       "{ \n\"a\" :\t{\"dtype\":\"U8\", \"shape\": [ 1 ],\r\n"
       "\"data_offsets\" :[0 , 1] } }",
       1,
       1},
      {"padding", "{}        ", 0, 0},
      {"empty name", "{" + tensor("", "U8", "[1]", "[0,1]") + "}", 1, 1},
      {"name of 4096 bytes",
       "{" + tensor(std::string(4096, 'n'), "U8", "[1]", "[0,1]") + "}",
       1,
       1},
      {"escaped keys",
       R"({"\u0061":{"dt\u0079pe":"U\u0038","shape":[1],"data_offsets":[0,1]}})",
       1,
       1},
      {"pair of surrogates", "{" + tensor("\\ud83d\\ude00", "U8", "[1]", "[0,1]") + "}", 1, 1},
      {"other members",
       R"({"a":{"x":[null,true,false,{"y":-1.5e+3}],"dtype":"U8","shape":[1],)"
       R"("data_offsets":[0,1],"x":""}})",
       1,
       1},
      {"depth 127",
       R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":)" + deep + "}}",
       1,
       1},
      {"64 dimensions", "{" + tensor("a", "U8", "[" + ones + "]", "[0,1]") + "}", 1, 1},
      {"whole bytes of F4", "{" + tensor("a", "F4", "[3,2]", "[0,3]") + "}", 3, 1},
      {"whole bytes of F6", "{" + tensor("a", "F6_E3M2", "[4]", "[0,3]") + "}", 3, 1},
      {"zero times anything",
       "{" + tensor("a", "U64", "[0,18446744073709551615,2]", "[0,0]") + "}",
       0,
       1},
      {"no bytes at each border",
       "{" + tensor("z", "U8", "[0]", "[0,0]") + "," + tensor("y", "U8", "[0]", "[2,2]") + "," +
           tensor("x", "U8", "[2]", "[0,2]") + "," + tensor("w", "U8", "[0]", "[2,2]") + "}",
       2,
       4},
  };
  for (const Good& good : cases) {
    const auto table = parse_file(file_of(good.header, good.data_bytes));
    ASSERT_TRUE(table.ok()) << good.rule << ": " << table.error().message();
    EXPECT_EQ(table.value().tensors.size(), good.tensors) << good.rule;
  }
}

TEST(Safetensors, tensors_of_no_bytes_come_first_at_their_place_in_order_of_names) {
  const auto table = parse_file(file_of(
      "{" + tensor("z", "U8", "[0]", "[2,2]") + "," + tensor("y", "U8", "[0]", "[2,2]") + "," +
          tensor("b", "U8", "[1]", "[2,3]") + "," + tensor("a", "U8", "[2]", "[0,2]") + "}",
      3));
  ASSERT_TRUE(table.ok()) << table.error().message();
  std::string names;
  for (const auto& entry : table.value().tensors) {
    names += entry.name;
  }
  EXPECT_EQ(names, "ayzb");
}

// `header` is the JSON with a '@' put where the error must point; it is taken out before parsing.
struct Bad {
  const char* rule;
  std::string header;
  std::size_t data_bytes;
  const char* message;
  Code code = Code::kCorrupt;
};

void expect_refused(const Bad& bad) {
  std::string header = bad.header;
  const std::size_t place = header.find('@');
  ASSERT_NE(place, std::string::npos) << bad.rule;
  header.erase(place, 1);
  const auto table = parse_file(file_of(header, bad.data_bytes));
  ASSERT_FALSE(table.ok()) << bad.rule;
  EXPECT_EQ(table.error().code(), bad.code) << bad.rule;
  EXPECT_EQ(table.error().message(), bad.message) << bad.rule;
  EXPECT_EQ(table.error().offset(), 8 + place) << bad.rule;
}

TEST(Safetensors, a_header_that_is_not_the_json_of_the_format_is_refused_at_its_place) {
  const std::vector<Bad> cases = {
      {"empty", "@", 0, "the header does not begin with '{'"},
      {"leading space", "@ {}", 0, "the header does not begin with '{'"},
      {"byte order mark", "@\xEF\xBB\xBF{}", 0, "the header does not begin with '{'"},
      {"array", "@[]", 0, "the header does not begin with '{'"},
      {"not closed", "{@", 0, "expected a member's name, found the end of the text"},
      {"padding of line ends", "{} @\n", 0, "after the header's '}' expected only spaces"},
      {"padding of zeros",
       std::string("{}@\0", 4),
       0,
       "after the header's '}' expected only spaces"},
      {"a second value", "{}@{}", 0, "after the header's '}' expected only spaces"},
      {"comma at the end",
       R"({"__metadata__":{},@})",
       0,
       "expected a member's name, found a stray character"},
      {"no colon", R"({"a" @1})", 0, "expected ':', found a number"},
      {"no comma", R"({"__metadata__":{}@"a":1})", 0, "expected ',' or '}', found a string"},
      {"key not a string", "{@1:2}", 0, "expected a member's name, found a number"},
      {"key not closed", R"({@"a)", 0, "a string that is not closed"},
      {"key not UTF-8", "{@\"a\xFF\":1}", 0, "a string that is not UTF-8"},
      {"control character", "{\"a@\n\":1}", 0, "a control character in a string"},
      {"unknown escape", R"({"a@\x":1})", 0, "an unknown escape in a string"},
      {"escape at the end", R"({"a@\)", 0, "an unknown escape in a string"},
      {"short escape", R"({"a\u@00g0":1})", 0, "expected four hexadecimal digits after \\u"},
      {"lone high surrogate", R"({"a@\ud800":1})", 0, "half a surrogate pair in a string"},
      {"lone low surrogate", R"({"a@\udc00":1})", 0, "half a surrogate pair in a string"},
      {"two high surrogates", R"({"a@\ud800\ud800":1})", 0, "half a surrogate pair in a string"},
      {"metadata null",
       R"({"__metadata__":@null})",
       0,
       "__metadata__: expected an object, found null"},
      {"metadata of numbers",
       R"({"__metadata__":{"a":@1}})",
       0,
       "__metadata__: expected a string, found a number"},
      {"metadata key twice",
       R"({"__metadata__":{"a":"1",@"a":"1"}})",
       0,
       "__metadata__: key 'a' stands there twice"},
      {"metadata twice",
       R"({"__metadata__":{},@"__metadata__":{}})",
       0,
       "__metadata__ stands there twice"},
  };
  for (const Bad& bad : cases) {
    expect_refused(bad);
  }
}

std::string with_member(std::string_view member) {
  return fmt::format(R"({{"a":{{"dtype":"U8","shape":[1],"data_offsets":[0,1],{}}}}})", member);
}

TEST(Safetensors, a_tensor_whose_members_are_not_the_three_is_refused_by_name_and_place) {
  const std::vector<Bad> cases = {
      {"null", R"({"a":@null})", 0, "tensor 'a': expected an object, found null"},
      {"array", R"({"a":@["U8",[1],[0,1]]})", 1, "tensor 'a': expected an object, found an array"},
      {"no dtype",
       R"({"a":@{"shape":[1],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': dtype is missing"},
      {"no shape",
       R"({"a":@{"dtype":"U8","data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape is missing"},
      {"no offsets",
       R"({"a":@{"dtype":"U8","shape":[1]}})",
       1,
       "tensor 'a': data_offsets is missing"},
      {"dtype twice", with_member(R"(@"dtype":"U8")"), 1, "tensor 'a': dtype stands there twice"},
      {"shape twice", with_member(R"(@"shape":[1])"), 1, "tensor 'a': shape stands there twice"},
      {"offsets twice",
       with_member(R"(@"data_offsets":[0,1])"),
       1,
       "tensor 'a': data_offsets stands there twice"},
      {"unknown dtype",
       R"({"a":{"dtype":@"C128","shape":[1],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': dtype: 'C128' is no dtype known here",
       Code::kUnsupported},
      {"dtype in lower case",
       R"({"a":{"dtype":@"u8","shape":[1],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': dtype: 'u8' is no dtype known here",
       Code::kUnsupported},
      {"dtype as an object",
       R"({"a":{"dtype":@{"U8":null},"shape":[1],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': dtype: expected a string, found an object"},
  };
  for (const Bad& bad : cases) {
    expect_refused(bad);
  }
}

TEST(Safetensors, a_shape_that_is_not_one_is_refused_by_name_and_place) {
  std::string many = "1";
  for (int i = 1; i < 64; ++i) {
    many += ",1";
  }
  const std::vector<Bad> cases = {
      {"shape null",
       R"({"a":{"dtype":"U8","shape":@null,"data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape: expected an array, found null"},
      {"negative dimension",
       R"({"a":{"dtype":"U8","shape":[@-1],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape: expected a non-negative integer below 2^64, found -1"},
      {"fraction",
       R"({"a":{"dtype":"U8","shape":[@1.0],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape: expected a non-negative integer below 2^64, found 1.0"},
      {"exponent",
       R"({"a":{"dtype":"U8","shape":[@1e0],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape: expected a non-negative integer below 2^64, found 1e0"},
      {"leading zero",
       R"({"a":{"dtype":"U8","shape":[@01],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape: expected a non-negative integer below 2^64, found 01"},
      {"2^64",
       R"({"a":{"dtype":"U8","shape":[@18446744073709551616],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape: expected a non-negative integer below 2^64, found 18446744073709551616"},
      {"dimension as a string",
       R"({"a":{"dtype":"U8","shape":[@"1"],"data_offsets":[0,1]}})",
       1,
       "tensor 'a': shape: expected a non-negative integer, found a string"},
      {"65 dimensions",
       "{" + tensor("a", "U8", "[" + many + ",@1]", "[0,1]") + "}",
       1,
       "tensor 'a': shape: more than 64 dimensions"},
  };
  for (const Bad& bad : cases) {
    expect_refused(bad);
  }
}

TEST(Safetensors, offsets_that_do_not_fit_their_tensor_are_refused_by_name_and_place) {
  const std::vector<Bad> cases = {
      {"one offset",
       "{" + tensor("a", "U8", "[1]", "@[0]") + "}",
       1,
       "tensor 'a': data_offsets: expected two integers, found 1"},
      {"three offsets",
       "{" + tensor("a", "U8", "[1]", "@[0,1,2]") + "}",
       1,
       "tensor 'a': data_offsets: expected two integers, found more"},
      {"end before begin",
       "{" + tensor("a", "U8", "[1]", "@[1,0]") + "}",
       1,
       "tensor 'a': data_offsets end at 0, before they begin at 1"},
      {"size of another shape",
       "{" + tensor("a", "F32", "[2,2]", "@[0,15]") + "}",
       15,
       "tensor 'a': dtype F32 and shape [2,2] ask for 16 bytes, data_offsets hold 15"},
      {"size of another dtype",
       "{" + tensor("a", "F6_E2M3", "[4]", "@[0,4]") + "}",
       4,
       "tensor 'a': dtype F6_E2M3 and shape [4] ask for 3 bytes, data_offsets hold 4"},
      {"half a byte",
       "{@" + tensor("a", "F4", "[3]", "[0,1]") + "}",
       1,
       "tensor 'a': 12 bits of F4 are not whole bytes"},
      {"product overflows",
       "{@" + tensor("a", "U8", "[4294967296,4294967296]", "[0,0]") + "}",
       0,
       "tensor 'a': its shape has 2^64 bits or more"},
      {"product overflows before its zero",
       "{@" + tensor("a", "U8", "[18446744073709551615,2,0]", "[0,0]") + "}",
       0,
       "tensor 'a': its shape has 2^64 bits or more"},
      {"bits overflow",
       "{@" + tensor("a", "U64", "[288230376151711744]", "[0,0]") + "}",
       0,
       "tensor 'a': its shape has 2^64 bits or more"},
  };
  for (const Bad& bad : cases) {
    expect_refused(bad);
  }
}

TEST(Safetensors, a_name_or_another_member_without_bound_or_sense_is_refused_by_name_and_place) {
  const std::string deep = std::string(125, '[') + "@" + std::string("[]") + std::string(125, ']');
  const std::vector<Bad> cases = {
      {"name too long",
       "{@" + tensor(std::string(4097, 'n'), "U8", "[1]", "[0,1]") + "}",
       1,
       "a name of 4097 bytes, at most 4096 are allowed"},
      {"name that moves the cursor",
       R"({"\u001b[2J":@1})",
       0,
       "tensor '\\x1b[2J': expected an object, found a number"},
      {"other member too deep",
       with_member("\"x\":" + deep),
       1,
       "tensor 'a': the JSON nests deeper than 127"},
      {"other member not a word",
       with_member("\"x\":@nul"),
       1,
       "tensor 'a': expected a value, found a word that is not true, false or null"},
      {"other member not a number",
       with_member("\"x\":@1."),
       1,
       "tensor 'a': expected a number, found 1."},
      {"other member not a value",
       with_member("\"x\":@,"),
       1,
       "tensor 'a': expected a value, found a stray character"},
      {"other member too large",
       with_member("\"x\":@1e999"),
       1,
       "tensor 'a': a number that a double does not hold: 1e999"},
  };
  for (const Bad& bad : cases) {
    expect_refused(bad);
  }
}

std::string with_metadata_keys(std::size_t count) {
  std::string pairs;
  for (std::size_t i = 0; i < count; ++i) {
    pairs += fmt::format(R"({}"{}":"")", i == 0 ? "" : ",", i);
  }
  return R"({"__metadata__":{)" + pairs + "}}";
}

TEST(Safetensors, metadata_of_more_keys_than_the_limit_is_refused) {
  EXPECT_TRUE(parse_file(file_of(with_metadata_keys(kMaxSafetensorsMetadata), 0)).ok());
  const auto table = parse_file(file_of(with_metadata_keys(kMaxSafetensorsMetadata + 1), 0));
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.error().message(), "__metadata__: more than 65536 keys");
}

TEST(Safetensors, tensors_that_do_not_cover_the_data_are_refused_by_name_and_place) {
  const std::string a = tensor("a", "U8", "[4]", "[0,4]");
  const std::vector<Bad> cases = {
      {"name twice",
       "{" + a + ",@" + tensor("a", "U8", "[4]", "[4,8]") + "}",
       8,
       "tensor 'a': the name stands there twice, first at offset 9"},
      {"name twice by an escape",
       "{" + a + ",@" + tensor("\\u0061", "U8", "[4]", "[4,8]") + "}",
       8,
       "tensor 'a': the name stands there twice, first at offset 9"},
      {"name twice, the first of a wrong size",
       "{" + tensor("a", "U8", "[9]", "[0,4]") + ",@" + a + "}",
       4,
       "tensor 'a': the name stands there twice, first at offset 9"},
      {"not from 0",
       "{" + tensor("a", "U8", "[3]", "@[1,4]") + "}",
       4,
       "tensor 'a': data_offsets begin at 1, expected 0: a hole"},
      {"hole",
       "{" + a + "," + tensor("b", "U8", "[3]", "@[5,8]") + "}",
       8,
       "tensor 'b': data_offsets begin at 5, expected 4: a hole"},
      {"overlap",
       "{" + a + "," + tensor("b", "U8", "[5]", "@[3,8]") + "}",
       8,
       "tensor 'b': data_offsets begin at 3, expected 4: tensors overlap"},
      {"no bytes inside another",
       "{" + a + "," + tensor("z", "U8", "[0]", "@[2,2]") + "}",
       4,
       "tensor 'z': data_offsets begin at 2, expected 4: tensors overlap"},
      {"past the end",
       "{" + tensor("a", "U8", "[4]", "@[0,4]") + "}",
       3,
       "tensor 'a': data_offsets end at 4, the file has 3 bytes of data"},
      {"far past the end",
       "{" + tensor("a", "U8", "[2305843009213693951]", "@[0,2305843009213693951]") + "}",
       3,
       "tensor 'a': data_offsets end at 2305843009213693951, the file has 3 bytes of data"},
      {"no tensors for the data", "{}@", 1, "1 bytes of data, but the tensors end after 0"},
  };
  for (const Bad& bad : cases) {
    expect_refused(bad);
  }
}

TEST(Safetensors, a_name_is_read_alike_wherever_its_special_characters_stand) {
  struct Special {
    std::string_view written;
    std::string_view meant;  // empty: refused
  };

  const std::vector<Special> specials = {{"\\n", "\n"},
                                         {"\\\"", "\""},
                                         {"\\\\", "\\"},
                                         {"\\u00e9", "\u00e9"},
                                         {"\u00e9", "\u00e9"},
                                         {"\x7F", "\x7F"},
                                         {" ", " "},
                                         {"\x1F", ""},
                                         {"\x80", ""}};
  for (std::size_t at = 0; at <= 24; ++at) {
    for (const Special& special : specials) {
      std::string written(24, 'a');
      std::string meant = written;
      written.insert(at, special.written);
      meant.insert(at, special.meant);
      SCOPED_TRACE(written);
      const auto table = parse_file(file_of("{" + tensor(written, "U8", "[1]", "[0,1]") + "}", 1));
      ASSERT_EQ(table.ok(), !special.meant.empty());
      if (table.ok()) {
        EXPECT_EQ(table.value().tensors[0].name, meant);
      }
    }
  }
}

TEST(Safetensors, of_many_tensors_the_one_whose_name_stands_twice_is_found) {
  constexpr std::size_t kCount = 3000;
  const auto header_of = [&](std::size_t second) {
    std::string header;
    for (std::size_t i = 0; i < kCount; ++i) {
      header += header.empty() ? "{" : ",";
      header += tensor(fmt::format("layers.{}", i == kCount - 1 ? second : i),
                       "U8",
                       "[1]",
                       fmt::format("[{},{}]", i, i + 1));
    }
    return header + "}";
  };
  EXPECT_TRUE(parse_file(file_of(header_of(kCount), kCount)).ok());
  for (const std::size_t second : {std::size_t{0}, kCount / 2, kCount - 2}) {
    const auto table = parse_file(file_of(header_of(second), kCount));
    ASSERT_FALSE(table.ok());
    EXPECT_EQ(table.error().code(), Code::kCorrupt);
    EXPECT_THAT(table.error().message(),
                testing::StartsWith(fmt::format(
                    "tensor 'layers.{}': the name stands there twice, first at offset", second)));
  }
}

TEST(Safetensors, bytes_after_the_last_tensor_are_refused_where_they_begin) {
  const std::string header = "{" + tensor("a", "U8", "[4]", "[0,4]") + "}";
  const auto table = parse_file(file_of(header, 5));
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.error().message(), "5 bytes of data, but the tensors end after 4");
  EXPECT_EQ(table.error().offset(), 8 + header.size() + 4);
}

TEST(Safetensors, a_header_length_past_the_file_or_the_limit_is_refused) {
  const auto refusal = [](std::uint64_t length, std::uint64_t file_bytes) {
    const std::string prefix = little_endian(length);
    const auto header = safetensors_header(bytes_of(prefix), file_bytes);
    EXPECT_FALSE(header.ok());
    EXPECT_EQ(header.error().code(), Code::kCorrupt);
    EXPECT_EQ(header.error().offset(), 0U);
    return header.error().message();
  };
  EXPECT_EQ(refusal(2, 9), "the header's length is 2, the file has only 1 bytes after it");
  EXPECT_EQ(refusal(100'000'001, 1'000'000'000'000),
            "the header's length is 100000001, at most 100000000 are allowed");
  EXPECT_EQ(refusal(~0ULL, ~0ULL),
            "the header's length is 18446744073709551615, at most 100000000 are allowed");
  EXPECT_EQ(refusal(0, 7), "a safetensors file has 8 bytes at least, this has 7");
}

TEST(Safetensors, a_file_of_fewer_than_8_bytes_needs_no_prefix_to_be_refused) {
  EXPECT_FALSE(safetensors_header({}, 0).ok());
}

TEST(Safetensors, a_header_as_long_as_the_limit_is_found) {
  const std::string prefix = little_endian(kMaxSafetensorsHeaderBytes);
  const auto header =
      safetensors_header(bytes_of(prefix), kSafetensorsPrefixBytes + kMaxSafetensorsHeaderBytes);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header.value(), (Range{8, 8 + kMaxSafetensorsHeaderBytes}));
}

TEST(Safetensors, every_truncation_of_a_header_is_refused) {
  const std::string header = R"({"__metadata__":{"a":"b"},)" + tensor("a", "U8", "[2,2]", "[0,4]") +
                             "," + tensor("\\u00e9", "F4", "[]", "[4,4]") + "}";
  for (std::size_t length = 0; length < header.size(); ++length) {
    EXPECT_FALSE(parse_file(file_of(header.substr(0, length), 4)).ok()) << length;
  }
}

}  // namespace
}  // namespace weighbridge::formats
