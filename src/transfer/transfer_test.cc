#include "transfer/transfer.h"

#include <algorithm>
#include <latch>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "sources/testing/fake_source.h"
#include "sync/guarded.h"
#include "testing/manual_clock.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using model::Method;
using model::Proof;
using model::Trust;
using sources::testing::Bytes;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using sources::testing::sealed_file;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kPiece = hash::kPieceBytes;

// Writes down what the engine does, and keeps what it publishes. Thread-safe.
class RecordingSink final : public Sink {
 public:
  struct Record {
    std::map<std::uint64_t, Bytes> landed;
    std::map<std::uint64_t, Proof> published;
    std::vector<std::uint64_t> order;
    std::map<std::string, Code> abandoned;
    std::map<std::uint64_t, int> publications;
  };

  Result<std::span<std::byte>> place(const model::File&, base::Range) override {
    return std::span<std::byte>();
  }

  Result<void> landed(const model::File&,
                      base::Range piece,
                      std::span<const std::byte> bytes) override {
    record_.with([&](Record& record) {
      record.landed[piece.begin] = {bytes.begin(), bytes.end()};
    });
    return {};
  }

  Result<void> publish(const model::File&, base::Range piece, Proof proof) override {
    record_.with([&](Record& record) {
      record.published[piece.begin] = proof;
      record.order.push_back(piece.begin);
      ++record.publications[piece.begin];
    });
    return {};
  }

  void abandon(const model::File& file, const Error& error) override {
    record_.with([&](Record& record) { record.abandoned.emplace(file.path, error.code()); });
  }

  Record record() const {
    return record_.with([](const Record& record) { return record; });
  }

  // The published pieces one after the other.
  Bytes bytes() const {
    const Record seen = record();
    Bytes all;
    for (const auto& [offset, proof] : seen.published) {
      const Bytes& piece = seen.landed.at(offset);
      all.insert(all.end(), piece.begin(), piece.end());
    }
    return all;
  }

 private:
  sync::Guarded<Record> record_;
};

class TransferTest : public ::testing::Test {
 protected:
  // One file of the snapshot, with the source holding its bytes.
  void add(model::File file, Bytes bytes) {
    source_.files[file.path] = std::move(bytes);
    snapshot_.files.push_back(std::move(file));
  }

  void add_sealed(const std::string& path, std::size_t size) {
    Bytes bytes = random_bytes(size, size);
    model::File file = sealed_file(path, bytes, Trust::kOrigin);
    add(std::move(file), std::move(bytes));
  }

  // Only some of the digests of a sealed file.
  void keep_only(std::size_t file, Method method) {
    model::File& kept = snapshot_.files[file];
    kept.pieces.clear();
    if (method != Method::kRoot) {
      kept.root.reset();
    }
    if (method != Method::kSha256) {
      kept.sha256.reset();
    }
    ASSERT_EQ(kept.method(), method);
  }

  std::vector<Want> everything() const {
    std::vector<Want> wants;
    for (std::size_t i = 0; i < snapshot_.files.size(); ++i) {
      wants.push_back({i, {0, snapshot_.files[i].size}});
    }
    return wants;
  }

  Result<Report> run(std::vector<Want> wants, RunOptions options = {}) {
    return transfer_.run(call_, {source_, snapshot_, wants}, sink_, progress_, options);
  }

  testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  Call call_{clock_};
  FakeSource source_;
  model::Snapshot snapshot_;
  FirstSeen first_seen_;
  Transfer transfer_{first_seen_, 1};
  RecordingSink sink_;
  Progress progress_;
};

TEST_F(TransferTest, sealed_file_is_published_piece_by_piece_and_whole) {
  add_sealed("a", 9 * kPiece + 77);
  const auto report = run(everything());
  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  for (const auto& [offset, proof] : sink_.record().published) {
    EXPECT_EQ(proof, (Proof{Trust::kOrigin, Method::kPieces})) << offset;
  }
  EXPECT_EQ(report->received_bytes, 9 * kPiece + 77);
  EXPECT_EQ(progress_.proved_bytes, 9 * kPiece + 77);
  EXPECT_EQ(report->requests, 3U);
}

TEST_F(TransferTest, one_connection_publishes_in_the_order_of_the_file) {
  add_sealed("a", 6 * kPiece);
  source_.connections = 1;
  ASSERT_TRUE(run(everything()).ok());
  const auto order = sink_.record().order;
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(TransferTest, only_the_pieces_that_cover_the_wants_are_read) {
  add_sealed("a", 20 * kPiece);
  const auto report = run({{0, {5 * kPiece + 10, 5 * kPiece + 20}},
                           {0, {6 * kPiece - 1, 6 * kPiece + 1}},
                           {0, {15 * kPiece, 16 * kPiece}}});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(source_.delivered_bytes(), 3 * kPiece);
  EXPECT_EQ(report->requests, 2U) << "wants that share or touch a piece cost one request";
}

TEST_F(TransferTest, a_reset_costs_at_most_one_piece_again) {
  add_sealed("a", 8 * kPiece);
  source_.fault = [](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    if (read.number == 1) {
      fault.stop_after = 2 * kPiece + kPiece / 2;
    }
    return fault;
  };
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  EXPECT_LE(source_.delivered_bytes(), 9 * kPiece);
}

TEST_F(TransferTest, what_a_body_does_after_the_last_wanted_byte_is_no_failure) {
  add_sealed("a", 2 * kPiece + 9);
  add_sealed("b", 10);
  source_.fault = [](const FakeSource::Read&) {
    FakeSource::Fault fault;  // everything, and then
    fault.error = Error(Code::kCorrupt, "the body is longer than announced");
    return fault;
  };
  const auto report = run(everything());
  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(report->requests, 2U);
  EXPECT_EQ(sink_.record().publications.at(2 * kPiece), 1);
}

TEST_F(TransferTest, every_piece_is_published_exactly_once_whatever_breaks) {
  add_sealed("a", 30 * kPiece + 5);
  source_.fault = [](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    if (read.number % 3 != 2) {
      fault.stop_after = (read.number * 7919) % read.range.size();
    }
    return fault;
  };
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  for (const auto& [offset, count] : sink_.record().publications) {
    EXPECT_EQ(count, 1) << offset;
  }
}

TEST_F(TransferTest, a_piece_hurt_on_its_way_is_asked_for_again) {
  add_sealed("a", 4 * kPiece);
  source_.fault = [](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    if (read.number == 0) {
      fault.flip = 2 * kPiece + 99;
    }
    return fault;
  };
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  EXPECT_LE(source_.delivered_bytes(), 5 * kPiece);
}

TEST_F(TransferTest, wrong_bytes_are_never_published_and_named_with_both_digests) {
  add_sealed("a", 4 * kPiece);
  source_.files["a"][2 * kPiece + 99] ^= std::byte{1};
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kCorrupt);
  EXPECT_EQ(report.error().file(), "fake://a");
  EXPECT_EQ(report.error().offset(), 2 * kPiece);
  EXPECT_THAT(report.error().message(),
              AllOf(HasSubstr("2097152-3145728"),
                    HasSubstr("expected " + snapshot_.files[0].pieces[2].hex()),
                    HasSubstr("found ")));
  EXPECT_FALSE(sink_.record().published.contains(2 * kPiece));
  EXPECT_EQ(sink_.record().abandoned.at("a"), Code::kCorrupt);
  EXPECT_EQ(source_.reads().size(), 1 + Transfer::kProofTries) << "the first brought new pieces";
}

TEST_F(TransferTest, an_origin_that_never_answers_is_given_up_after_so_many_tries) {
  add_sealed("a", kPiece);
  source_.fault = [](const FakeSource::Read&) {
    return FakeSource::Fault::fails(Error(Code::kUnavailable, "no route"));
  };
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kUnavailable);
  EXPECT_EQ(source_.reads().size(), Transfer::kTries);
  EXPECT_THAT(report.error().message(), AllOf(HasSubstr("10 tries"), HasSubstr("no route")));
  EXPECT_EQ(report.error().file(), "fake://a");
}

TEST_F(TransferTest, retry_after_is_waited_for) {
  add_sealed("a", kPiece);
  source_.fault = [](const FakeSource::Read& read) {
    return read.number > 0
               ? FakeSource::Fault{}
               : FakeSource::Fault::fails(
                     Error(Code::kBusy, "slow down").with_retry_after(std::chrono::seconds(7)));
  };
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_GE(clock_.elapsed(), std::chrono::seconds(7));
}

TEST_F(TransferTest, what_cannot_pass_is_not_tried_again) {
  add_sealed("a", kPiece);
  source_.fault = [](const FakeSource::Read&) {
    return FakeSource::Fault::fails(Error(Code::kDenied, "no"));
  };
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kDenied);
  EXPECT_EQ(source_.reads().size(), 1U);
}

TEST_F(TransferTest, a_file_with_a_root_only_is_published_once_all_has_come) {
  add_sealed("a", 9 * kPiece + 1);
  keep_only(0, Method::kRoot);
  ASSERT_TRUE(run({{0, {0, 1}}}).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  EXPECT_EQ(sink_.record().published.at(0), (Proof{Trust::kOrigin, Method::kRoot}));
}

TEST_F(TransferTest, a_file_that_misses_its_root_publishes_nothing) {
  add_sealed("a", 5 * kPiece);
  keep_only(0, Method::kRoot);
  source_.files["a"].back() ^= std::byte{1};
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kCorrupt);
  EXPECT_THAT(report.error().message(),
              AllOf(HasSubstr("BLAKE3"), HasSubstr(snapshot_.files[0].root->hex())));
  EXPECT_TRUE(sink_.record().published.empty());
}

TEST_F(TransferTest, a_file_with_a_sha256_only_is_published_once_it_matches) {
  add_sealed("a", 13 * kPiece + 3);
  keep_only(0, Method::kSha256);
  ASSERT_TRUE(run({{0, {0, 1}}}).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  EXPECT_EQ(sink_.record().published.at(0), (Proof{Trust::kOrigin, Method::kSha256}));
}

TEST_F(TransferTest, a_file_that_misses_its_sha256_publishes_nothing) {
  add_sealed("a", 13 * kPiece + 3);
  keep_only(0, Method::kSha256);
  source_.files["a"][5] ^= std::byte{1};
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kCorrupt);
  EXPECT_THAT(report.error().message(),
              AllOf(HasSubstr("SHA-256"), HasSubstr(snapshot_.files[0].sha256->hex())));
  EXPECT_EQ(report.error().offset(), std::nullopt) << "the file is wrong, not a place in it";
  EXPECT_TRUE(sink_.record().published.empty());
  EXPECT_EQ(sink_.record().abandoned.at("a"), Code::kCorrupt);
}

TEST_F(TransferTest, a_whole_file_proof_that_failed_may_be_tried_anew_in_the_same_process) {
  add_sealed("a", 5 * kPiece);
  keep_only(0, Method::kSha256);
  source_.files["a"][5] ^= std::byte{1};
  ASSERT_FALSE(run(everything()).ok());
  source_.files["a"][5] ^= std::byte{1};
  EXPECT_TRUE(run(everything()).ok()) << "the wrong bytes are not held against the right ones";
}

TEST_F(TransferTest, the_window_bounds_what_waits_to_be_hashed_in_order) {
  const std::uint64_t size = Transfer::kWindowBytes + 8 * Transfer::kRequestBytes;
  add_sealed("a", size);
  keep_only(0, Method::kSha256);
  const std::uint64_t window_requests = Transfer::kWindowBytes / Transfer::kRequestBytes;
  std::latch others_came(static_cast<std::ptrdiff_t>(window_requests) - 1);
  // The first request waits until the window is full of later ones; none beyond it may be asked
  // for until the first piece has been hashed.
  source_.fault = [&](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    if (read.range.begin == 0) {
      fault.wait = [&] { others_came.wait(); };
    } else if (read.range.begin < Transfer::kWindowBytes) {
      others_came.count_down();
    } else {
      EXPECT_TRUE(others_came.try_wait()) << "asked beyond the window at " << read.range.begin;
    }
    return fault;
  };
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
}

TEST_F(TransferTest, a_peek_gives_pieces_unproved_and_binds_nobody) {
  add_sealed("a", 5 * kPiece);
  keep_only(0, Method::kSha256);
  ASSERT_TRUE(run({{0, {0, 10}}}, {.peek = true}).ok());
  EXPECT_EQ(sink_.record().published.at(0), (Proof{Trust::kNone, Method::kNothing}));
  EXPECT_EQ(source_.delivered_bytes(), kPiece);
  EXPECT_TRUE(first_seen_.root("fake://a", snapshot_.files[0]) == std::nullopt);
}

TEST_F(TransferTest, what_a_peek_saw_wrong_does_not_stand_against_the_digest) {
  add_sealed("a", 5 * kPiece);
  keep_only(0, Method::kSha256);
  source_.fault = [](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    fault.flip = read.number == 0 ? std::optional<std::uint64_t>(5) : std::nullopt;
    return fault;
  };
  ASSERT_TRUE(run({{0, {0, 10}}}, {.peek = true}).ok());
  EXPECT_TRUE(run(everything()).ok());
}

TEST_F(TransferTest, a_digest_that_matched_replaces_what_came_first) {
  add_sealed("a", 3 * kPiece);
  const model::File sealed = snapshot_.files[0];
  keep_only(0, Method::kNothing);
  source_.files["a"][5] ^= std::byte{1};
  ASSERT_TRUE(run(everything()).ok());
  source_.files["a"][5] ^= std::byte{1};
  snapshot_.files[0] = sealed;
  keep_only(0, Method::kSha256);
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(first_seen_.root("fake://a", snapshot_.files[0]), sealed.root);
  keep_only(0, Method::kNothing);
  EXPECT_TRUE(run(everything()).ok());
}

TEST_F(TransferTest, bytes_nobody_vouches_for_are_first_seen_and_held_to) {
  add_sealed("a", 3 * kPiece);
  keep_only(0, Method::kNothing);
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.record().published.at(0).trust, Trust::kFirstSeen);
  source_.files["a"][kPiece] ^= std::byte{1};
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kCorrupt);
  EXPECT_EQ(report.error().offset(), kPiece);
}

TEST_F(TransferTest, a_new_revision_is_first_seen_anew) {
  add_sealed("a", 3 * kPiece);
  keep_only(0, Method::kNothing);
  snapshot_.files[0].validator = {"\"1\"", ""};
  ASSERT_TRUE(run(everything()).ok());
  source_.files["a"][kPiece] ^= std::byte{1};
  snapshot_.files[0].validator = {"\"2\"", ""};
  EXPECT_TRUE(run(everything()).ok());
}

TEST_F(TransferTest, an_origin_without_ranges_is_read_as_one_stream) {
  add_sealed("a", 21 * kPiece + 9);
  source_.has_ranges = false;
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  EXPECT_LE(source_.delivered_bytes(), 21 * kPiece + 9 + Transfer::kRequestBytes);
}

TEST_F(TransferTest, a_stream_that_breaks_begins_anew_and_publishes_nothing_twice) {
  add_sealed("a", 21 * kPiece);
  source_.has_ranges = false;
  source_.fault = [](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    if (read.range.size() > 20 * kPiece && read.number < 12) {
      fault.stop_after = read.number * kPiece + 11;
    }
    return fault;
  };
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
  for (const auto& [offset, count] : sink_.record().publications) {
    EXPECT_EQ(count, 1) << offset;
  }
}

TEST_F(TransferTest, a_stream_that_keeps_breaking_is_given_up) {
  add_sealed("a", 21 * kPiece);
  source_.has_ranges = false;
  // Short and long by turns: the longer one brings nothing that an earlier one has not brought.
  source_.fault = [](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    fault.stop_after = (read.number % 2 == 0 ? 3 : 5) * kPiece + kPiece / 2;
    return fault;
  };
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kUnavailable);
  EXPECT_LE(source_.reads().size(), 4 * Transfer::kTries);
}

TEST_F(TransferTest, a_stream_is_hashed_in_order_too) {
  add_sealed("a", 21 * kPiece + 9);
  keep_only(0, Method::kSha256);
  source_.has_ranges = false;
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.bytes(), source_.files["a"]);
}

TEST_F(TransferTest, many_files_of_all_kinds_share_one_run) {
  for (int i = 0; i < 12; ++i) {
    add_sealed("f" + std::to_string(i + 10), static_cast<std::size_t>(i + 3) * kPiece / 2);
  }
  for (std::size_t i = 0; i < 12; i += 4) {
    keep_only(i, Method::kSha256);
    keep_only(i + 1, Method::kRoot);
    keep_only(i + 2, Method::kNothing);
  }
  ASSERT_TRUE(run(everything()).ok());
}

TEST_F(TransferTest, an_empty_file_is_proved_and_published) {
  add_sealed("a", 0);
  ASSERT_TRUE(run(everything()).ok());
  EXPECT_EQ(sink_.record().published.at(0).method, Method::kPieces);
}

TEST_F(TransferTest, a_file_too_large_to_be_true_is_refused) {
  add_sealed("a", 10);
  keep_only(0, Method::kNothing);
  snapshot_.files[0].size = Transfer::kMaxFileBytes + 1;
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kExhausted);
}

TEST_F(TransferTest, a_file_that_ends_early_is_an_error) {
  add_sealed("a", 3 * kPiece);
  source_.files["a"].resize(2 * kPiece);
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kUnavailable);
}

TEST_F(TransferTest, keep_going_reports_each_file_that_failed) {
  add_sealed("a", 2 * kPiece);
  add_sealed("b", 3 * kPiece);
  add_sealed("c", 4 * kPiece);
  source_.files["a"][0] ^= std::byte{1};
  source_.files.erase("b");
  const auto report = run(everything(), {.keep_going = true});
  ASSERT_TRUE(report.ok());
  std::map<std::size_t, Code> failed;
  for (const FileFailure& failure : report->failures) {
    failed.emplace(failure.file, failure.error.code());
  }
  EXPECT_EQ(failed, (std::map<std::size_t, Code>{{0, Code::kCorrupt}, {1, Code::kNotFound}}));
  EXPECT_EQ(sink_.record().abandoned.size(), 2U);
}

TEST_F(TransferTest, a_stop_request_ends_the_run_as_cancelled) {
  add_sealed("a", 40 * kPiece);
  std::stop_source stop;
  source_.fault = [&](const FakeSource::Read& read) {
    if (read.number == 5) {
      stop.request_stop();
    }
    return FakeSource::Fault{};
  };
  call_ = call_.stopped_by(stop.get_token());
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code(), Code::kCancelled);
  EXPECT_TRUE(sink_.record().abandoned.contains("a"));
}

TEST_F(TransferTest, a_deadline_ends_the_run_with_what_was_being_done) {
  add_sealed("a", kPiece);
  source_.connections = 1;  // an idle second one would wait for the deadline, and so jump to it
  source_.fault = [](const FakeSource::Read&) {
    return FakeSource::Fault::fails(Error(Code::kUnavailable, "no route"));
  };
  call_ = call_.within(std::chrono::milliseconds(250));
  const auto report = run(everything());
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.error().message(), HasSubstr("no route"));
  EXPECT_LE(clock_.elapsed(), std::chrono::milliseconds(250));
}

}  // namespace
}  // namespace weighbridge::transfer
