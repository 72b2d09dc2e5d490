// Whatever the wire does to a sealed model: the right tensors arrive, or a named error.

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "served_model.h"

namespace weighbridge::tests {
namespace {

using base::Code;
using testing::Fault;
using testing::Framing;
using testing::HttpRequest;

bool covers(const HttpRequest& request, std::uint64_t offset) {
  return !request.range || (request.range->begin <= offset && offset < request.range->end);
}

// A byte of a file on its way.
struct Spot {
  std::string path;
  std::uint64_t offset = 0;
};

// Does this to the answers that cover the spot: to all of them, or only to the first.
testing::HttpServer::Decide strike(const Spot& spot,
                                   bool once,
                                   std::function<void(Fault&, const HttpRequest&)> fault) {
  const auto struck = std::make_shared<std::atomic<bool>>(false);
  return [=](const HttpRequest& request) {
    Fault made;
    const bool hit = request.path == ServedModel::path_of(spot.path) &&
                     covers(request, spot.offset) && !(struck->exchange(true) && once);
    if (hit) {
      fault(made, request);
    }
    return made;
  };
}

class SealedModelTest : public ::testing::Test {
 protected:
  SealedModelTest() {
    model_.add_two_shards();
    model_.seal();
  }

  void expect_right(const Outcome& outcome) const {
    EXPECT_FALSE(outcome.error) << describe(outcome);
    EXPECT_EQ(outcome.tensors, model_.tensor_count()) << describe(outcome);
    EXPECT_EQ(outcome.wrong, 0U) << describe(outcome);
  }

  ServedModel model_;
};

// ---------------------------------------------------------------------------------- flipped bits

constexpr int kFlips = kSanitized ? 300 : 10'000;

// Of every eight flips two hit the seal, one the shard index, two a header, three the tensors.
Spot random_spot(const ServedModel& model, int trial, std::mt19937_64& random) {
  const auto within = [&](const std::string& path, std::uint64_t begin, std::uint64_t end) {
    return Spot{path, begin + random() % (end - begin)};
  };
  const bool first = random() % 2 == 0;
  const std::string shard = first ? "one.safetensors" : "two.safetensors";
  const std::uint64_t header_end = first ? 8 + 6000 : 8 + 9000;
  const int kind = trial % 8;
  if (kind < 2) {
    const std::string seal(formats::kSealName);
    return within(seal, 0, model.bytes_of(seal).size());
  }
  if (kind == 2) {
    const std::string index = "model.safetensors.index.json";
    return within(index, 0, model.bytes_of(index).size());
  }
  return kind < 5 ? within(shard, 0, header_end)
                  : within(shard, header_end, model.bytes_of(shard).size());
}

TEST_F(SealedModelTest, random_bit_flips_in_transit_give_the_right_tensors_or_a_named_error) {
  std::mt19937_64 random(20260101);
  int healed = 0;
  int refused = 0;
  for (int trial = 0; trial < kFlips; ++trial) {
    const Spot spot = random_spot(model_, trial, random);
    const auto mask = static_cast<std::uint8_t>(1U << random() % 8);
    const bool once = random() % 2 == 0;
    model_.server().set_decide(strike(spot, once, [&](Fault& fault, const HttpRequest&) {
      fault.flip_bits = {{spot.offset, mask}};
    }));
    const Outcome outcome = model_.load();
    ASSERT_EQ(outcome.wrong, 0U) << "trial " << trial << ": " << describe(outcome);
    if (once) {
      expect_right(outcome);
      ++healed;
    } else {
      ASSERT_TRUE(outcome.has_named_error()) << "trial " << trial << ": " << describe(outcome);
      EXPECT_EQ(outcome.error->code(), Code::kCorrupt) << describe(outcome);
      ++refused;
    }
    ASSERT_FALSE(HasFailure()) << "trial " << trial << ": " << spot.path << " at " << spot.offset;
  }
  std::cout << fmt::format(
      "{} bit flips: {} once, fetched again and right; {} in every answer, refused by name; "
      "0 wrong bytes signalled\n",
      kFlips,
      healed,
      refused);
}

// ---------------------------------------------------------------------------------------- resets

constexpr int kResets = kSanitized ? 100 : 500;

TEST_F(SealedModelTest, a_reset_at_any_offset_fetches_at_most_one_piece_again) {
  const std::vector<std::string> files = {std::string(formats::kSealName),
                                          "model.safetensors.index.json",
                                          "one.safetensors",
                                          "two.safetensors"};
  std::uint64_t total = 0;
  for (const std::string& file : files) {
    total += model_.bytes_of(file).size();
  }
  expect_right(model_.load());
  const std::uint64_t undisturbed = model_.server().counts().body_bytes;
  std::uint64_t most = 0;
  std::uint64_t sum = 0;
  for (int i = 0; i < kResets; ++i) {
    std::uint64_t offset = total * static_cast<std::uint64_t>(i) / kResets;
    auto file = files.begin();
    for (; offset >= model_.bytes_of(*file).size(); ++file) {
      offset -= model_.bytes_of(*file).size();
    }
    model_.server().set_decide(
        strike({*file, offset}, true, [&](Fault& fault, const HttpRequest& request) {
          fault.cut_after = offset - (request.range ? request.range->begin : 0);
        }));
    const std::uint64_t before = model_.server().counts().body_bytes;
    expect_right(model_.load());
    const std::uint64_t again = model_.server().counts().body_bytes - before - undisturbed;
    ASSERT_FALSE(HasFailure()) << *file << " at " << offset;
    most = std::max(most, again);
    sum += again;
  }
  EXPECT_LE(most, hash::kPieceBytes);
  std::cout << fmt::format(
      "{} resets: at most {} bytes fetched again, {} on average\n", kResets, most, sum / kResets);
}

// ---------------------------------------------------------------------------- answers that are
// wrong

// One way in which an answer is wrong.
struct WrongAnswer {
  std::string name;
  // `body_bytes`: of the right answer.
  std::function<void(Fault&, const HttpRequest&, std::uint64_t body_bytes)> make;
  // Where every answer is like that; never anything else.
  std::set<Code> codes;
  // Is one such answer made good by asking again?
  bool heals = true;
  // Is nothing wrong with the bytes before the fault? Then they may be all that is needed.
  bool may_pass = false;
};

void PrintTo(const WrongAnswer& wrong, std::ostream* out) {
  *out << wrong.name;
}

// Content-Range with these added to its begin, its end and its total.
auto content_range(int begin, int end, int total) {
  return [=](Fault& fault, const HttpRequest& request, std::uint64_t body_bytes) {
    if (request.range) {
      // The total is not known here; an honest answer to the last range would end where it does.
      const std::uint64_t first = request.range->begin;
      fault.headers = {{"Content-Range",
                        fmt::format("bytes {}-{}/{}",
                                    static_cast<std::int64_t>(first) + begin,
                                    static_cast<std::int64_t>(first + body_bytes) - 1 + end,
                                    total == 0 ? "*" : "99999999")}};
    }
  };
}

auto status(int code, std::string retry_after = {}) {
  return [=](Fault& fault, const HttpRequest&, std::uint64_t) {
    fault = testing::answer_with(code, retry_after);
  };
}

auto header(std::string name, std::string value) {
  return [=](Fault& fault, const HttpRequest&, std::uint64_t) { fault.headers = {{name, value}}; };
}

auto simply(std::function<void(Fault&)> make) {
  return [=](Fault& fault, const HttpRequest&, std::uint64_t) { make(fault); };
}

auto length_off_by(int bytes) {
  return [=](Fault& fault, const HttpRequest&, std::uint64_t body_bytes) {
    const auto said = static_cast<std::uint64_t>(static_cast<std::int64_t>(body_bytes) + bytes);
    fault.headers = {{"Content-Length", std::to_string(said)}};
    if (bytes > 0) {
      fault.append = std::string(static_cast<std::size_t>(bytes), 'x');
    } else {
      fault.stop_after = said;
    }
  };
}

std::vector<WrongAnswer> broken_bodies() {
  return {
      {"reset", simply([](Fault& f) { f.cut_after = 100; }), {Code::kUnavailable}},
      {"closed_early",
       simply([](Fault& f) {
         f.cut_after = 100;
         f.cut_cleanly = true;
       }),
       {Code::kUnavailable}},
      {"closed_before_the_first_byte",
       simply([](Fault& f) {
         f.cut_after = 0;
         f.cut_cleanly = true;
       }),
       {Code::kUnavailable}},
      {"truncated_in_chunks",
       simply([](Fault& f) {
         f.framing = Framing::kChunked;
         f.stop_after = 100;
       }),
       {Code::kUnavailable, Code::kCorrupt}},
      {"content_length_too_short", length_off_by(-7), {Code::kUnavailable, Code::kCorrupt}},
      {"content_length_too_long", length_off_by(7), {Code::kCorrupt}},
      {"longer_than_announced_in_chunks",
       simply([](Fault& f) {
         f.framing = Framing::kChunked;
         f.append = "more";
       }),
       {Code::kCorrupt},
       true,
       true},
      {"longer_than_announced_until_close",
       simply([](Fault& f) {
         f.framing = Framing::kUntilClose;
         f.append = "more";
       }),
       {Code::kCorrupt},
       true,
       true},
      {"other_bytes_of_the_same_length",
       [](Fault& f, const HttpRequest& request, std::uint64_t body_bytes) {
         const std::uint64_t first = request.range ? request.range->begin : 0;
         for (std::uint64_t i = 0; i < body_bytes; i += 1000) {
           f.flip_bits.emplace_back(first + i, 0xFF);
         }
       },
       {Code::kCorrupt}},
  };
}

std::vector<WrongAnswer> wrong_heads() {
  const std::string flood(70'000, 'x');
  return {
      {"content_range_begins_elsewhere", content_range(1, 0, 0), {Code::kCorrupt}},
      {"content_range_ends_elsewhere", content_range(0, -1, 0), {Code::kCorrupt}},
      {"content_range_of_another_total",
       content_range(0, 0, 1),
       {Code::kConflict, Code::kCorrupt},
       false},
      {"content_range_missing", header("Content-Range", ""), {Code::kCorrupt}},
      {"content_range_malformed", header("Content-Range", "bytes x-y/z"), {Code::kCorrupt}},
      {"compressed", header("Content-Encoding", "gzip"), {Code::kUnsupported}, false},
      {"headers_without_end", header("X-Flood", flood), {Code::kCorrupt}},
      {"status_500", status(500), {Code::kUnavailable}},
      {"status_503_with_retry_after", status(503, "7"), {Code::kUnavailable}},
      {"status_429", status(429), {Code::kBusy}},
      {"status_429_with_retry_after", status(429, "2"), {Code::kBusy}},
      {"status_408", status(408), {Code::kTimedOut}},
      {"status_401", status(401), {Code::kDenied}, false},
      {"status_416", status(416), {Code::kInvalid}, false},
      {"status_418", status(418), {Code::kUnsupported}, false},
      {"redirect_to_itself",
       [](Fault& f, const HttpRequest& request, std::uint64_t) {
         f = testing::redirect_to(request.path);
       },
       {Code::kInvalid}},
      {"redirect_to_nowhere", status(302), {Code::kUnsupported}, false},
  };
}

class WrongAnswerTest : public SealedModelTest, public ::testing::WithParamInterface<WrongAnswer> {
 protected:
  Fault fault_for(const HttpRequest& request) const {
    Fault fault;
    const std::uint64_t size =
        model_.bytes_of(request.path.substr(ServedModel::path_of("").size())).size();
    const base::Range range = request.range.value_or(base::Range{0, size});
    GetParam().make(fault, request, std::min(range.end, size) - range.begin);
    return fault;
  }
};

TEST_P(WrongAnswerTest, once_wherever_it_strikes_ends_in_the_right_tensors_or_a_named_error) {
  expect_right(model_.load());
  const std::uint64_t requests = model_.server().counts().requests;
  ASSERT_GE(requests, 6U);
  for (std::uint64_t struck = 0; struck < requests; ++struck) {
    const std::uint64_t first = model_.server().counts().requests;
    model_.server().set_decide([this, struck, first](const HttpRequest& request) {
      return request.index == first + struck ? fault_for(request) : Fault{};
    });
    const Outcome outcome = model_.load();
    EXPECT_EQ(outcome.wrong, 0U) << describe(outcome);
    if (GetParam().heals) {
      expect_right(outcome);
    } else if (outcome.error) {
      EXPECT_TRUE(outcome.has_named_error()) << describe(outcome);
      EXPECT_TRUE(GetParam().codes.contains(outcome.error->code())) << describe(outcome);
    }
    EXPECT_FALSE(HasFailure()) << "request " << struck;
  }
}

TEST_P(WrongAnswerTest, in_every_answer_ends_in_a_named_error) {
  model_.server().set_decide([this](const HttpRequest& request) { return fault_for(request); });
  const Outcome outcome = model_.load();
  EXPECT_EQ(outcome.wrong, 0U) << describe(outcome);
  if (GetParam().may_pass && !outcome.error) {
    return expect_right(outcome);
  }
  ASSERT_TRUE(outcome.has_named_error()) << describe(outcome);
  EXPECT_TRUE(GetParam().codes.contains(outcome.error->code())) << describe(outcome);
}

std::string name_of_case(const ::testing::TestParamInfo<WrongAnswer>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(body, WrongAnswerTest, ::testing::ValuesIn(broken_bodies()), name_of_case);
INSTANTIATE_TEST_SUITE_P(head, WrongAnswerTest, ::testing::ValuesIn(wrong_heads()), name_of_case);

// ------------------------------------------------------------------------------- busy, quiet, slow

TEST_F(SealedModelTest, three_of_ten_answers_busy_or_broken_still_give_the_right_tensors) {
  std::atomic<std::uint64_t> failed = 0;
  for (std::uint64_t seed = 0; seed < (kSanitized ? 20 : 200); ++seed) {
    model_.server().set_decide([&failed, seed](const HttpRequest& request) {
      std::mt19937_64 random(seed * 1'000'003 + request.index);
      random.discard(3);
      if (random() % 10 >= 3) {
        return Fault{};
      }
      ++failed;
      constexpr std::array<int, 5> kStatuses = {500, 502, 503, 504, 429};
      return testing::answer_with(kStatuses[random() % kStatuses.size()],
                                  random() % 2 == 0 ? "3" : "");
    });
    expect_right(model_.load());
  }
  EXPECT_GT(failed * 5, model_.server().counts().requests);
  std::cout << fmt::format(
      "{} of {} answers were 5xx or 429\n", failed.load(), model_.server().counts().requests);
}

TEST_F(SealedModelTest, retry_after_is_waited_for_before_the_next_request) {
  model_.server().set_decide([](const HttpRequest& request) {
    return request.index == 0 ? testing::answer_with(503, "40") : Fault{};
  });
  expect_right(model_.load());
  EXPECT_GE(model_.clock().elapsed(), std::chrono::seconds(40));
}

TEST(StalledServerTest, a_body_that_stands_still_is_left_and_asked_for_again) {
  ServedModel model(std::chrono::milliseconds(200));
  model.add_two_shards();
  model.seal();
  model.server().set_decide(
      strike({"one.safetensors", 1'500'000}, true, [](Fault& fault, const HttpRequest&) {
        fault.stall_after = 100'000;
      }));
  const Outcome outcome = model.load(base::Call(base::system_clock()), "", {});
  EXPECT_FALSE(outcome.error) << describe(outcome);
  EXPECT_EQ(outcome.tensors, model.tensor_count());
  EXPECT_EQ(outcome.wrong, 0U);
}

TEST(StalledServerTest, a_deadline_ends_a_load_that_stands_still_in_any_file_by_name) {
  ServedModel model;
  model.add_two_shards();
  model.seal();
  const std::vector<Spot> spots = {{std::string(formats::kSealName), 100},
                                   {"model.safetensors.index.json", 100},
                                   {"one.safetensors", 100},
                                   {"two.safetensors", 1'100'000}};
  for (const Spot& spot : spots) {
    model.server().set_decide(
        strike(spot, false, [](Fault& fault, const HttpRequest&) { fault.stall_after = 50; }));
    const base::Call call = base::Call(base::system_clock()).within(std::chrono::milliseconds(400));
    const Outcome outcome = model.load(call, "", {});
    EXPECT_EQ(outcome.wrong, 0U);
    ASSERT_TRUE(outcome.error) << spot.path;
    EXPECT_EQ(outcome.error->code(), Code::kTimedOut) << spot.path << ": " << describe(outcome);
  }
}

TEST(StalledServerTest, a_stop_request_ends_a_load_while_bodies_flow) {
  ServedModel model;
  model.add_two_shards();
  model.seal();
  std::stop_source stop;
  model.server().set_decide(
      strike({"one.safetensors", 1'500'000}, false, [&](Fault& fault, const HttpRequest&) {
        fault.stall_after = 100'000;
        stop.request_stop();
      }));
  const Outcome outcome =
      model.load(base::Call(base::system_clock()).stopped_by(stop.get_token()), "", {});
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kCancelled) << describe(outcome);
  EXPECT_EQ(outcome.wrong, 0U);
}

}  // namespace
}  // namespace weighbridge::tests
