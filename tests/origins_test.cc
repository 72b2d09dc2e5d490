// What the engine makes of origins as the internet has them: capped per connection, refusing more
// than so many, standing still in one range. The real client against the loopback server, on the
// real clock; nothing here depends on how fast this machine is.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/call.h"
#include "net/http_client.h"
#include "sources/http_source.h"
#include "sources/testing/fake_source.h"
#include "testing/http_server.h"
#include "testing/shaped_origin.h"
#include "transfer/explanation.h"
#include "transfer/sink.h"
#include "transfer/transfer.h"

namespace weighbridge::tests {
namespace {

using base::Result;
using sources::testing::Bytes;
using std::chrono::milliseconds;
using testing::Shape;
using testing::ShapedOrigin;
using transfer::Explanation;

constexpr std::uint64_t kPiece = hash::kPieceBytes;

// The final place of one file. Each piece must be published once, and be right by then.
class PlaceSink final : public transfer::Sink {
 public:
  explicit PlaceSink(const Bytes& expected)
      : expected_(expected),
        bytes_(expected.size()),
        published_(hash::piece_count(bytes_.size())) {}

  Result<std::span<std::byte>> place(const model::File&, base::Range piece) override {
    return std::span(bytes_).subspan(piece.begin, piece.size());
  }

  Result<void> landed(const model::File&, base::Range, std::span<const std::byte>) override {
    return {};
  }

  Result<void> publish(const model::File&, base::Range piece, model::Proof) override {
    const bool right =
        std::memcmp(bytes_.data() + piece.begin, expected_.data() + piece.begin, piece.size()) == 0;
    right_ += right ? 1 : 0;
    ++published_[piece.begin / kPiece];
    return {};
  }

  void abandon(const model::File&, const base::Error&) override {}

  // Every piece came once, and was right when it was published.
  bool complete() const {
    return right_ == published_.size() &&
           std::all_of(published_.begin(), published_.end(), [](const auto& n) { return n == 1; });
  }

 private:
  const Bytes& expected_;
  Bytes bytes_;
  std::atomic<std::uint64_t> right_ = 0;
  std::vector<std::atomic<int>> published_;
};

struct Fetched {
  std::optional<base::Error> error;
  bool complete = false;
  base::Duration took{};
  std::shared_ptr<const Explanation> told;
};

std::unique_ptr<net::HttpClient> direct_client() {
  net::HttpClientOptions options;
  options.no_proxy = "*";
  return net::make_http_client(std::move(options));
}

// A file behind a shaped origin. Confined to the test's thread.
class Origin {
 public:
  explicit Origin(std::size_t pieces)
      : bytes_(sources::testing::random_bytes(pieces * kPiece, 7)), client_(direct_client()) {
    const auto* text = reinterpret_cast<const char*>(bytes_.data());
    server_.put("/m/a", testing::make_object(std::string(text, bytes_.size())));
    snapshot_.files.push_back(sources::testing::sealed_file("a", bytes_, model::Trust::kOrigin));
  }

  testing::HttpServer& server() { return server_; }

  Fetched fetch(const Shape& shape) {
    shaped_ = std::make_unique<ShapedOrigin>(shape);
    server_.set_decide(shaped_->decide());
    const base::Call call = base::Call(base::system_clock()).within(std::chrono::minutes(2));
    const auto ref = model::Ref::parse(server_.url("/m/"));
    const auto source = sources::open_http_source(*client_, *ref);
    transfer::FirstSeen first_seen;
    transfer::Transfer transfer(first_seen, 1);
    transfer::Progress progress;
    PlaceSink sink(bytes_);
    const std::vector<transfer::Want> wants = {{0, {0, bytes_.size()}}};
    const base::TimePoint began = call.clock().now();
    auto report = transfer.run(call, {**source, snapshot_, wants}, sink, progress);
    Fetched fetched;
    fetched.took = call.clock().now() - began;
    fetched.complete = sink.complete();
    if (report.ok()) {
      fetched.told = report->explanation;
    } else {
      fetched.error = std::move(report).error();
    }
    return fetched;
  }

  const ShapedOrigin& shaped() const { return *shaped_; }

 private:
  const Bytes bytes_;
  testing::HttpServer server_;
  const std::unique_ptr<net::HttpClient> client_;
  model::Snapshot snapshot_;
  std::unique_ptr<ShapedOrigin> shaped_;
};

TEST(OriginTest, connections_grow_where_each_is_slow_and_stop_at_the_ceiling) {
  Origin origin(40);
  const Fetched fetched = origin.fetch({.connection_bytes_per_second = 2'000'000});
  ASSERT_TRUE(fetched.complete) << (fetched.error ? fetched.error->message() : "");
  EXPECT_GT(fetched.told->peak_connections, 8U);
  EXPECT_LE(fetched.told->peak_connections, fetched.told->most_connections);
  EXPECT_LE(origin.server().connections(), fetched.told->most_connections + 2);
  EXPECT_FALSE(fetched.told->decisions.empty());
}

TEST(OriginTest, one_that_refuses_more_than_six_gets_no_more_than_seven_in_the_end) {
  Origin origin(48);
  const Fetched fetched =
      origin.fetch({.connection_bytes_per_second = 4'000'000, .most_answers = 6});
  ASSERT_TRUE(fetched.complete) << (fetched.error ? fetched.error->message() : "");
  EXPECT_LE(fetched.told->end_connections, 7U);
  EXPECT_GE(fetched.told->end_connections, 4U);
  EXPECT_LE(origin.shaped().refused(), 8U);
}

TEST(OriginTest, a_range_that_stands_still_is_asked_for_again_and_published_once) {
  Origin origin(64);
  Shape shape{.total_bytes_per_second = 100'000'000};
  shape.stall = Shape::Stall{"/m/a", 33 * kPiece + 100'000, std::chrono::seconds(30)};
  const Fetched fetched = origin.fetch(shape);
  ASSERT_TRUE(fetched.complete) << (fetched.error ? fetched.error->message() : "");
  EXPECT_LT(fetched.took, std::chrono::seconds(25)) << "nobody waited for it";
  EXPECT_EQ(fetched.told->hedges.won, 1U);
  EXPECT_LE(fetched.told->received_bytes, 64 * kPiece + 8 * kPiece);
}

}  // namespace
}  // namespace weighbridge::tests
