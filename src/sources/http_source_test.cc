#include "sources/http_source.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "sources/buffer_sink.h"
#include "testing/http_server.h"

namespace weighbridge::sources {
namespace {

using base::Code;
using base::Result;
using ::testing::Each;
using testing::Fault;
using testing::Framing;
using ::testing::HasSubstr;
using testing::HttpRequest;
using ::testing::Not;

const std::string kBytes = "0123456789";

// Sends a body without a length and without an end. Thread-safe: it holds nothing.
class EndlessClient final : public net::HttpClient {
 public:
  Result<net::HttpHead> get(const base::Call&, const net::HttpGet&, base::BodySink& sink) override {
    for (auto window = sink.window(); !window.empty(); window = sink.window()) {
      TRY(sink.landed(window.size()));
    }
    net::HttpHead head;
    head.status = 200;
    return head;
  }

  Result<net::HttpReply> send(const base::Call&, const net::HttpSend&) override {
    return base::Error(Code::kUnsupported, "it only answers");
  }
};

class HttpSourceTest : public ::testing::Test {
 protected:
  HttpSourceTest() {
    net::HttpClientOptions options;
    options.no_proxy = "*";
    client_ = net::make_http_client(options);
  }

  Result<std::unique_ptr<Source>> open(const std::string& path_and_query) {
    return open_http_source(*client_, model::Ref::parse(server_.url(path_and_query)).value());
  }

  Result<std::string> read(Source& source, const model::File& file, base::Range range) {
    BufferSink sink(1 << 20);
    TRY(source.read(call_, file, range, sink));
    const auto bytes = sink.take();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  // Every answer is like this.
  void always(const Fault& fault) {
    server_.set_decide([fault](const HttpRequest&) { return fault; });
  }

  std::vector<std::string> targets() const {
    std::vector<std::string> seen;
    for (const HttpRequest& request : server_.requests()) {
      seen.push_back(request.target);
    }
    return seen;
  }

  testing::HttpServer server_;
  std::unique_ptr<net::HttpClient> client_;
  const base::Call call_{base::system_clock()};
};

// ------------------------------------------------------------------------------- what a URL names

TEST_F(HttpSourceTest, a_url_that_ends_in_a_slash_is_a_directory) {
  server_.put("/m/a.txt", testing::make_object(kBytes));
  const auto source = open("/m/").value();
  EXPECT_EQ(source->single_file(call_).value(), "");
  EXPECT_EQ(source->find(call_, "a.txt").value().size, 10U);
  EXPECT_FALSE(source->list(call_).value().has_value());
}

TEST_F(HttpSourceTest, a_bare_host_is_a_directory) {
  server_.put("/a.txt", testing::make_object(kBytes));
  const auto source = open("").value();
  EXPECT_EQ(source->single_file(call_).value(), "");
  EXPECT_EQ(source->find(call_, "a.txt").value().size, 10U);
}

TEST_F(HttpSourceTest, any_other_url_is_a_file_and_its_seal_lies_beside_it) {
  server_.put("/m/a.txt", testing::make_object(kBytes));
  server_.put("/m/weighbridge.seal", testing::make_object("seal"));
  const auto source = open("/m/a.txt").value();
  EXPECT_EQ(source->single_file(call_).value(), "a.txt");
  EXPECT_EQ(source->find(call_, "a.txt").value().size, 10U);
  EXPECT_EQ(source->seal(call_).value()->size(), 4U);
}

TEST_F(HttpSourceTest, a_files_name_is_decoded_and_asked_for_as_it_was_spelled) {
  server_.put("/m/a%20%62.txt", testing::make_object(kBytes));
  const auto source = open("/m/a%20%62.txt").value();
  EXPECT_EQ(source->single_file(call_).value(), "a b.txt");
  EXPECT_EQ(source->find(call_, "a b.txt").value().size, 10U);
}

TEST_F(HttpSourceTest, a_last_part_that_cannot_be_a_files_name_is_refused) {
  for (const char* path : {"/m/a%2Fb", "/m/%zz", "/m/a%00b", "/m/..", "/m/%2e%2e", "/m/%ff"}) {
    const auto source = open(path);
    ASSERT_FALSE(source.ok()) << path;
    EXPECT_EQ(source.error().code(), Code::kInvalid);
  }
}

TEST_F(HttpSourceTest, names_are_percent_encoded) {
  const std::string name = "sub dir/ü %41?x#y&z+.txt";
  const std::string encoded = "/m/sub%20dir/%C3%BC%20%2541%3Fx%23y%26z%2B.txt";
  server_.put(encoded, testing::make_object(kBytes));
  const auto source = open("/m/").value();
  const auto file = source->find(call_, name);
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_EQ(read(*source, *file, {2, 5}).value(), "234");
  EXPECT_THAT(targets(), Each(encoded));
}

TEST_F(HttpSourceTest, a_query_is_sent_with_every_request_and_printed_nowhere) {
  server_.put("/m/a.txt", testing::make_object(kBytes));
  const auto source = open("/m/?sig=s3cret&x=1").value();
  const model::File file = source->find(call_, "a.txt").value();
  ASSERT_TRUE(read(*source, file, {0, 10}).ok());
  EXPECT_FALSE(source->seal(call_).value().has_value());
  EXPECT_THAT(targets(), Each(HasSubstr("?sig=s3cret&x=1")));
  EXPECT_THAT(source->printable("a.txt"), Not(HasSubstr("s3cret")));
  const auto missing = source->find(call_, "b.txt");
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message() + missing.error().file().value_or(""),
              Not(HasSubstr("s3cret")));
}

TEST_F(HttpSourceTest, files_that_only_a_query_tells_apart_have_identities_that_show_none_of_it) {
  const auto one = open("/m/?sig=s3cret").value();
  const auto other = open("/m/?sig=another").value();
  EXPECT_NE(one->identity("a"), other->identity("a"));
  EXPECT_EQ(one->identity("a"), open("/m/?sig=s3cret").value()->identity("a"));
  EXPECT_THAT(one->identity("a"), Not(HasSubstr("s3cret")));
}

TEST_F(HttpSourceTest, the_seal_beside_a_signed_file_is_asked_for_with_the_same_query) {
  server_.put("/m/a.txt", testing::make_object(kBytes));
  const auto source = open("/m/a.txt?sig=s3cret").value();
  ASSERT_TRUE(source->find(call_, "a.txt").ok());
  ASSERT_TRUE(source->seal(call_).ok());
  EXPECT_THAT(targets(),
              ::testing::ElementsAre("/m/a.txt?sig=s3cret", "/m/weighbridge.seal?sig=s3cret"));
}

// ----------------------------------------------------------------------------------------- finding

TEST_F(HttpSourceTest, a_206_gives_size_and_validators_for_one_byte) {
  testing::HttpObject object = testing::make_object(std::string(100'000, 'x'), "\"tag\"");
  object.last_modified = "Thu, 01 Jan 2026 00:00:00 GMT";
  server_.put("/m/a", object);
  const model::File file = open("/m/").value()->find(call_, "a").value();
  EXPECT_EQ(file.size, 100'000U);
  EXPECT_EQ(file.validator, (model::Validator{"\"tag\"", "Thu, 01 Jan 2026 00:00:00 GMT"}));
  EXPECT_EQ(server_.counts().body_bytes, 1U);
}

TEST_F(HttpSourceTest, a_200_without_ranges_gives_the_size) {
  server_.put("/m/a", testing::make_object(kBytes));
  Fault fault;
  fault.ignore_range = true;
  always(fault);
  EXPECT_EQ(open("/m/").value()->find(call_, "a").value().size, 10U);
}

TEST_F(HttpSourceTest, a_416_is_an_empty_file) {
  server_.put("/m/empty", testing::make_object(""));
  const auto source = open("/m/").value();
  const model::File file = source->find(call_, "empty").value();
  EXPECT_EQ(file.size, 0U);
  EXPECT_EQ(read(*source, file, {0, 0}).value(), "");
}

TEST_F(HttpSourceTest, an_empty_file_that_has_grown_is_refused) {
  server_.put("/m/empty", testing::make_object(""));
  const auto source = open("/m/").value();
  const model::File file = source->find(call_, "empty").value();
  server_.put("/m/empty", testing::make_object("x"));
  EXPECT_EQ(read(*source, file, {0, 0}).error().code(), Code::kCorrupt);
}

TEST_F(HttpSourceTest, a_server_that_says_no_length_is_counted) {
  server_.put("/m/a", testing::make_object(std::string(300'000, 'x')));
  for (const Framing framing : {Framing::kChunked, Framing::kUntilClose}) {
    Fault fault;
    fault.ignore_range = true;
    fault.framing = framing;
    always(fault);
    EXPECT_EQ(open("/m/").value()->find(call_, "a").value().size, 300'000U);
  }
}

TEST_F(HttpSourceTest, a_body_without_length_and_end_is_given_up_by_name) {
  EndlessClient endless;
  const auto ref = model::Ref::parse("http://user:pw@host/m/").value();
  const auto file = open_http_source(endless, ref).value()->find(call_, "a");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code(), Code::kUnsupported);
  EXPECT_THAT(file.error().message(), HasSubstr("1 TiB"));
  EXPECT_EQ(file.error().file(), "http://host/m/a");
}

TEST_F(HttpSourceTest, a_status_becomes_its_code_and_names_the_url) {
  server_.put("/m/a", testing::make_object(kBytes));
  const auto source = open("/m/").value();
  const std::vector<std::pair<int, Code>> statuses = {{404, Code::kNotFound},
                                                      {410, Code::kNotFound},
                                                      {403, Code::kDenied},
                                                      {401, Code::kDenied},
                                                      {429, Code::kBusy},
                                                      {503, Code::kUnavailable}};
  for (const auto& [status, code] : statuses) {
    always(testing::answer_with(status));
    const auto file = source->find(call_, "a");
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.error().code(), code);
    EXPECT_EQ(file.error().file(), server_.url("/m/a"));
  }
}

// ----------------------------------------------------------------------------------------- reading

TEST_F(HttpSourceTest, reads_exactly_the_range) {
  server_.put("/m/a", testing::make_object(kBytes));
  const auto source = open("/m/").value();
  const model::File file = source->find(call_, "a").value();
  EXPECT_EQ(read(*source, file, {0, 10}).value(), kBytes);
  EXPECT_EQ(read(*source, file, {3, 7}).value(), "3456");
}

TEST_F(HttpSourceTest, without_ranges_only_the_beginning_can_be_read) {
  server_.put("/m/a", testing::make_object(kBytes));
  Fault fault;
  fault.ignore_range = true;
  always(fault);
  const auto source = open("/m/").value();
  const model::File file = source->find(call_, "a").value();
  BufferSink four(4);
  ASSERT_TRUE(source->read(call_, file, {0, 4}, four).ok());
  EXPECT_EQ(four.take().size(), 4U);
  BufferSink none(4);
  EXPECT_EQ(source->read(call_, file, {3, 7}, none).error().code(), Code::kUnsupported);
  EXPECT_TRUE(none.take().empty());
}

TEST_F(HttpSourceTest, another_etag_or_size_than_was_found_is_a_conflict) {
  server_.put("/m/a", testing::make_object(kBytes, "\"one\""));
  const auto source = open("/m/").value();
  const model::File file = source->find(call_, "a").value();
  server_.put("/m/a", testing::make_object(kBytes, "\"two\""));
  EXPECT_EQ(read(*source, file, {0, 10}).error().code(), Code::kConflict);
  server_.put("/m/a", testing::make_object(kBytes + "x", "\"one\""));
  EXPECT_EQ(read(*source, file, {0, 10}).error().code(), Code::kConflict);
}

TEST_F(HttpSourceTest, a_sealed_file_of_another_size_is_corrupt) {
  server_.put("/m/a", testing::make_object(kBytes, "\"one\""));
  const auto source = open("/m/").value();
  model::File sealed;  // a seal knows no validator
  sealed.path = "a";
  for (const std::uint64_t size : {9U, 11U, 100U}) {
    sealed.size = size;
    for (const base::Range range : {base::Range{0, size}, base::Range{size - 1, size}}) {
      const auto text = read(*source, sealed, range);
      ASSERT_FALSE(text.ok());
      EXPECT_EQ(text.error().code(), Code::kCorrupt);
      EXPECT_THAT(text.error().message(), HasSubstr("the file has 10 bytes"));
      EXPECT_THAT(text.error().message(), HasSubstr(std::to_string(size)));
    }
  }
}

TEST_F(HttpSourceTest, a_file_that_shrank_since_it_was_found_is_a_conflict_also_past_its_end) {
  server_.put("/m/a", testing::make_object(kBytes, "\"one\""));
  const auto source = open("/m/").value();
  const model::File file = source->find(call_, "a").value();
  server_.put("/m/a", testing::make_object("01234", "\"one\""));
  EXPECT_EQ(read(*source, file, {8, 10}).error().code(), Code::kConflict);
}

TEST_F(HttpSourceTest, each_call_is_one_try) {
  server_.put("/m/a", testing::make_object(kBytes));
  const auto source = open("/m/").value();
  const model::File file = source->find(call_, "a").value();
  always(testing::answer_with(503));
  const std::uint64_t before = server_.counts().requests;
  EXPECT_FALSE(read(*source, file, {0, 10}).ok());
  EXPECT_FALSE(source->find(call_, "a").ok());
  EXPECT_FALSE(source->seal(call_).ok());
  EXPECT_EQ(server_.counts().requests - before, 3U);
}

// ------------------------------------------------------------------------------------------- seals

TEST_F(HttpSourceTest, for_a_seal_403_404_and_410_mean_that_there_is_none) {
  const auto source = open("/m/").value();
  for (const int status : {403, 404, 410}) {
    always(testing::answer_with(status));
    const auto seal = source->seal(call_);
    ASSERT_TRUE(seal.ok()) << status;
    EXPECT_FALSE(seal->has_value());
  }
}

TEST_F(HttpSourceTest, any_other_failure_of_a_seal_fails_by_name) {
  server_.put("/m/weighbridge.seal", testing::make_object("seal"));
  const auto source = open("/m/").value();
  for (const int status : {204, 400, 401, 418, 429, 500, 503}) {
    always(testing::answer_with(status));
    const auto seal = source->seal(call_);
    ASSERT_FALSE(seal.ok()) << status;
    EXPECT_EQ(seal.error().file(), server_.url("/m/weighbridge.seal"));
  }
  Fault reset;
  reset.cut_after = 2;
  always(reset);
  EXPECT_EQ(source->seal(call_).error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace weighbridge::sources
