// Servers that do less than others, objects that change, and what pins and seals make of it.

#include <atomic>
#include <iostream>
#include <random>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "served_model.h"

namespace weighbridge::tests {
namespace {

using base::Code;
using model::Trust;
using sources::testing::Bytes;
using testing::Fault;
using testing::Framing;
using ::testing::HasSubstr;
using testing::HttpRequest;

const std::string kOne = "one.safetensors";
const std::string kPath = ServedModel::path_of(kOne);

class OddServerTest : public ::testing::Test {
 protected:
  void expect_right(const Outcome& outcome) const { expect_right(outcome, model_.tensor_count()); }

  static void expect_right(const Outcome& outcome, std::size_t tensors) {
    EXPECT_FALSE(outcome.error) << describe(outcome);
    EXPECT_EQ(outcome.tensors, tensors) << describe(outcome);
    EXPECT_EQ(outcome.wrong, 0U) << describe(outcome);
  }

  static void expect_error(const Outcome& outcome, Code code) {
    EXPECT_EQ(outcome.wrong, 0U) << describe(outcome);
    ASSERT_TRUE(outcome.has_named_error()) << describe(outcome);
    EXPECT_EQ(outcome.error->code(), code) << describe(outcome);
  }

  // Every answer is like this.
  void always(const Fault& fault) {
    model_.server().set_decide([fault](const HttpRequest&) { return fault; });
  }

  // Answers for `path` are like this from its request number `from` on.
  void from_request(const std::string& path, std::uint64_t from, const Fault& fault) {
    const std::uint64_t before = model_.server().counts(ServedModel::path_of(path)).requests;
    model_.server().set_decide([=, path = ServedModel::path_of(path)](const HttpRequest& request) {
      return request.path == path && request.path_index >= before + from ? fault : Fault{};
    });
  }

  // The file with its last byte changed, under another ETag where one is given.
  Fault changed(const std::string& path, std::string etag = {}) const {
    Bytes bytes = model_.bytes_of(path);
    bytes.back() ^= std::byte{1};
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    Fault fault;
    fault.object = testing::make_object(std::move(text), std::move(etag));
    return fault;
  }

  static std::string sha256_pin(const Bytes& bytes) {
    return "#sha256=" + hash::Sha256::of(bytes).hex();
  }

  static std::string root_pin(const Bytes& bytes) {
    return "#blake3=" + hash::hash_bytes(bytes).hex();
  }

  // One file of five pieces, unsealed.
  void add_one_file(std::string etag = {}) {
    model_.add_safetensors(kOne, {{"a", 2'000'000}, {"b", 3'000'000}}, 5000);
    model_.serve(kOne, model_.bytes_of(kOne), std::move(etag));
  }

  ServedModel model_;
};

// ---------------------------------------------------------------------- servers that do less

class LessCapableServerTest : public OddServerTest, public ::testing::WithParamInterface<bool> {
 protected:
  // A sealed model, or one that nobody vouches for.
  LessCapableServerTest() {
    model_.add_two_shards();
    if (GetParam()) {
      model_.seal();
    }
  }
};

TEST_P(LessCapableServerTest, gets_are_all_that_is_asked_for) {
  expect_right(model_.load());
  for (const HttpRequest& request : model_.server().requests()) {
    EXPECT_EQ(request.method, "GET");
  }
}

TEST_P(LessCapableServerTest, without_ranges_it_is_read_as_one_stream) {
  Fault fault;
  fault.ignore_range = true;
  always(fault);
  expect_right(model_.load());
}

TEST_P(LessCapableServerTest, that_stops_serving_ranges_midway_is_read_as_one_stream) {
  Fault fault;
  fault.ignore_range = true;
  from_request(kOne, GetParam() ? 1 : 2, fault);
  expect_right(model_.load());
}

TEST_P(LessCapableServerTest, without_a_length_in_chunks) {
  Fault fault;
  fault.framing = Framing::kChunked;
  always(fault);
  expect_right(model_.load());
}

TEST_P(LessCapableServerTest, without_a_length_until_it_closes) {
  Fault fault;
  fault.framing = Framing::kUntilClose;
  always(fault);
  expect_right(model_.load());
}

TEST_P(LessCapableServerTest, without_ranges_and_without_a_length) {
  Fault fault;
  fault.ignore_range = true;
  fault.framing = Framing::kChunked;
  always(fault);
  expect_right(model_.load());
}

TEST_P(LessCapableServerTest, with_etags_that_stay) {
  for (const std::string path : {"one.safetensors", "two.safetensors"}) {
    model_.serve(path, model_.bytes_of(path), "\"" + path + "\"");
  }
  expect_right(model_.load());
}

TEST_P(LessCapableServerTest, that_redirects_every_body) {
  for (const std::string path : {"one.safetensors", "two.safetensors"}) {
    const Bytes& bytes = model_.bytes_of(path);
    model_.server().put("/blobs/" + path,
                        testing::make_object(std::string(
                            reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  }
  model_.server().set_decide([](const HttpRequest& request) {
    const std::string name = request.path.substr(request.path.rfind('/') + 1);
    return request.path.starts_with("/m/") && name.ends_with(".safetensors")
               ? testing::redirect_to("/blobs/" + name, 307)
               : Fault{};
  });
  expect_right(model_.load());
  EXPECT_EQ(model_.server().counts("/m/one.safetensors").requests,
            model_.server().counts("/blobs/one.safetensors").requests);
}

TEST_P(LessCapableServerTest, that_breaks_every_stream_once) {
  const auto broken = std::make_shared<std::atomic<int>>(0);
  model_.server().set_decide([broken](const HttpRequest& request) {
    Fault fault;
    fault.ignore_range = true;
    if (request.path.ends_with(".safetensors") && request.path_index == 2) {
      fault.cut_after = 1'100'000;
      ++*broken;
    }
    return fault;
  });
  expect_right(model_.load());
}

std::string sealed_or_not(const ::testing::TestParamInfo<bool>& sealed) {
  return sealed.param ? "sealed" : "unsealed";
}

INSTANTIATE_TEST_SUITE_P(server, LessCapableServerTest, ::testing::Bool(), sealed_or_not);

// ------------------------------------------------------------------------- objects that change

TEST_F(OddServerTest, a_sealed_object_that_changes_midway_is_refused) {
  model_.add_two_shards();
  model_.seal();
  from_request(kOne, 1, changed(kOne));
  expect_error(model_.load(), Code::kCorrupt);
}

TEST_F(OddServerTest, a_sealed_object_that_changes_midway_with_its_etag_is_refused) {
  model_.add_two_shards();
  model_.seal();
  from_request(kOne, 1, changed(kOne, "\"new\""));
  expect_error(model_.load(), Code::kCorrupt);
}

TEST_F(OddServerTest, a_sealed_object_that_grows_midway_is_refused) {
  model_.add_two_shards();
  model_.seal();
  Fault fault = changed(kOne);
  fault.object = testing::make_object(*fault.object->bytes + "more");
  from_request(kOne, 1, fault);
  expect_error(model_.load(), Code::kCorrupt);
}

TEST_F(OddServerTest, an_unsealed_object_whose_etag_changes_midway_is_a_conflict) {
  add_one_file("\"old\"");
  from_request(kOne, 2, changed(kOne, "\"new\""));
  expect_error(model_.load(kOne), Code::kConflict);
}

TEST_F(OddServerTest, an_unsealed_object_whose_last_modified_changes_midway_is_a_conflict) {
  add_one_file();
  model_.server().set_decide([](const HttpRequest& request) {
    Fault fault;
    fault.headers = {{"Last-Modified",
                      request.path_index < 2 ? "Thu, 01 Jan 2026 00:00:00 GMT"
                                             : "Fri, 02 Jan 2026 00:00:00 GMT"}};
    return fault;
  });
  expect_error(model_.load(kOne), Code::kConflict);
}

TEST_F(OddServerTest, an_object_without_validators_whose_size_changes_midway_is_refused) {
  add_one_file();
  Fault fault = changed(kOne);
  fault.object = testing::make_object(fault.object->bytes->substr(1));
  from_request(kOne, 2, fault);
  expect_error(model_.load(kOne), Code::kCorrupt);
}

TEST_F(OddServerTest, an_unsealed_object_is_held_to_the_bytes_that_came_first) {
  add_one_file();
  const Outcome first = model_.load(kOne);
  expect_right(first);
  EXPECT_EQ(first.report.proof_bytes.at(Trust::kFirstSeen), 5'000'000U);
  always(changed(kOne));
  expect_error(model_.load(kOne), Code::kCorrupt);
}

TEST_F(OddServerTest, an_unsealed_object_with_a_new_etag_is_a_new_revision) {
  add_one_file("\"old\"");
  expect_right(model_.load(kOne));
  model_.serve(kOne, model_.bytes_of(kOne), "\"new\"");
  expect_right(model_.load(kOne));
}

TEST_F(OddServerTest, a_pinned_object_that_changes_midway_hands_over_nothing) {
  add_one_file();
  for (const std::string& pin :
       {sha256_pin(model_.bytes_of(kOne)), root_pin(model_.bytes_of(kOne))}) {
    from_request(kOne, 2, changed(kOne));
    const Outcome outcome = model_.load(kOne + pin);
    expect_error(outcome, Code::kCorrupt);
    EXPECT_EQ(outcome.tensors, 0U);
  }
}

// ---------------------------------------------------------------------------------------- seals

class SealAnswerTest : public OddServerTest, public ::testing::WithParamInterface<int> {
 protected:
  SealAnswerTest() {
    model_.add_two_shards();
    model_.seal();
    model_.server().set_decide([status = GetParam()](const HttpRequest& request) {
      return request.path.ends_with(formats::kSealName) ? testing::answer_with(status) : Fault{};
    });
  }
};

class NoSealTest : public SealAnswerTest {};

TEST_P(NoSealTest, means_that_there_is_none) {
  const Outcome outcome = model_.load();
  expect_right(outcome);
  EXPECT_EQ(outcome.report.proof_bytes.count(Trust::kOrigin), 0U);
  EXPECT_GT(outcome.report.proof_bytes.at(Trust::kFirstSeen), 0U);
}

TEST_P(NoSealTest, does_not_get_around_a_pin) {
  const Outcome outcome = model_.load(sha256_pin(model_.bytes_of(std::string(formats::kSealName))));
  expect_error(outcome, Code::kNotFound);
  EXPECT_EQ(outcome.tensors, 0U);
}

INSTANTIATE_TEST_SUITE_P(status, NoSealTest, ::testing::Values(403, 404, 410));

class FailingSealTest : public SealAnswerTest {};

TEST_P(FailingSealTest, is_never_taken_for_no_seal) {
  const Outcome outcome = model_.load();
  EXPECT_EQ(outcome.tensors, 0U);
  ASSERT_TRUE(outcome.has_named_error()) << describe(outcome);
  EXPECT_THAT(*outcome.error->file(), HasSubstr(formats::kSealName));
}

INSTANTIATE_TEST_SUITE_P(status,
                         FailingSealTest,
                         ::testing::Values(400, 401, 408, 416, 429, 500, 502, 503, 504));

// ----------------------------------------------------------------------------------------- pins

TEST_F(OddServerTest, the_right_pin_of_a_seal_proves_as_pinned) {
  model_.add_two_shards();
  const Outcome outcome = model_.load("#sha256=" + model_.seal());
  expect_right(outcome);
  EXPECT_EQ(outcome.report.proof_bytes.at(Trust::kPinned), outcome.report.bytes);
}

TEST_F(OddServerTest, the_wrong_pin_of_a_seal_is_refused) {
  model_.add_two_shards();
  model_.seal();
  const Outcome outcome = model_.load(sha256_pin(model_.bytes_of(kOne)));
  expect_error(outcome, Code::kCorrupt);
  EXPECT_EQ(outcome.tensors, 0U);
}

TEST_F(OddServerTest, the_right_pin_of_a_file_proves_as_pinned) {
  add_one_file();
  for (const std::string& pin :
       {sha256_pin(model_.bytes_of(kOne)), root_pin(model_.bytes_of(kOne))}) {
    const Outcome outcome = model_.load(kOne + pin);
    expect_right(outcome);
    EXPECT_EQ(outcome.report.proof_bytes.at(Trust::kPinned), 5'000'000U);
  }
}

TEST_F(OddServerTest, the_wrong_pin_of_a_file_hands_over_nothing) {
  add_one_file();
  const Bytes other(10, std::byte{1});
  for (const std::string& pin : {sha256_pin(other), root_pin(other)}) {
    const Outcome outcome = model_.load(kOne + pin);
    expect_error(outcome, Code::kCorrupt);
    EXPECT_EQ(outcome.tensors, 0U);
    EXPECT_THAT(outcome.error->message(), HasSubstr(pin.substr(pin.find('=') + 1)));
  }
}

TEST_F(OddServerTest, random_bit_flips_of_a_pinned_file_hand_over_nothing_wrong) {
  add_one_file();
  const Bytes& bytes = model_.bytes_of(kOne);
  std::mt19937_64 random(20260102);
  int refused = 0;
  constexpr int kFlips = kSanitized ? 40 : 400;
  for (int trial = 0; trial < kFlips; ++trial) {
    const std::uint64_t offset = random() % (trial % 3 == 0 ? 5000 : bytes.size());
    const auto mask = static_cast<std::uint8_t>(1U << random() % 8);
    // The answer to one request for the file is hurt, and in every fourth trial all after it.
    const std::uint64_t struck = model_.server().counts(kPath).requests + random() % 3;
    model_.server().set_decide([=](const HttpRequest& request) {
      Fault fault;
      const bool hit = trial % 4 == 0 ? request.path_index >= struck : request.path_index == struck;
      if (request.path == kPath && hit) {
        fault.flip_bits = {{offset, mask}};
      }
      return fault;
    });
    const Outcome outcome =
        model_.load(kOne + (trial % 2 == 0 ? sha256_pin(bytes) : root_pin(bytes)));
    ASSERT_EQ(outcome.wrong, 0U) << trial;
    if (outcome.error) {
      // A header that is hurt before it can be proved may also look like a newer one.
      EXPECT_TRUE(outcome.has_named_error()) << describe(outcome);
      EXPECT_EQ(outcome.tensors, 0U);
      ++refused;
    } else {
      expect_right(outcome);
    }
    ASSERT_FALSE(HasFailure()) << "trial " << trial << ", byte " << offset;
  }
  EXPECT_GT(refused, kFlips / 8);
  std::cout << fmt::format(
      "{} bit flips of a pinned file: {} refused by name, {} not in what was "
      "read or healed; 0 wrong bytes signalled\n",
      kFlips,
      refused,
      kFlips - refused);
}

TEST_F(OddServerTest, a_pinned_file_is_read_as_one_stream_where_there_are_no_ranges) {
  add_one_file();
  Fault fault;
  fault.ignore_range = true;
  always(fault);
  expect_right(model_.load(kOne + sha256_pin(model_.bytes_of(kOne))));
  expect_right(model_.load(kOne + root_pin(model_.bytes_of(kOne))));
}

TEST_F(OddServerTest, a_filter_on_a_pinned_file_reads_all_of_it_to_prove_it) {
  add_one_file();
  const Outcome outcome = model_.load(kOne + sha256_pin(model_.bytes_of(kOne)), {"a"});
  expect_right(outcome, 1);
  EXPECT_EQ(outcome.report.transfer.received_bytes, model_.bytes_of(kOne).size());
}

}  // namespace
}  // namespace weighbridge::tests
