#include "testing/http_server.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "net/http_client.h"
#include "testing/memory_sink.h"

namespace weighbridge::testing {
namespace {

// What a client got from one request: a status (0: it failed), the bytes, the ETag.
struct Got {
  int status = 0;
  std::string bytes;
  std::string etag;
};

Got get(const std::string& url, std::optional<base::Range> range = {}) {
  net::HttpClientOptions options;
  options.no_proxy = "127.0.0.1";
  const auto client = net::make_http_client(options);
  net::HttpGet request;
  request.url = url;
  request.range = range;
  MemorySink sink(100'000);
  const auto call = base::Call(base::system_clock()).within(std::chrono::seconds(30));
  const auto head = client->get(call, request, sink);
  return {head.ok() ? head->status : 0, std::string(sink.bytes()), head.ok() ? head->etag : ""};
}

TEST(HttpServer, AFlippedBitIsFlippedInTheObjectWhereverTheRangeBegins) {
  HttpServer server([](const HttpRequest&) {
    Fault fault;
    fault.flip_bits = {{12, 0x01}};
    return fault;
  });
  server.put("/o", make_object("0123456789abcdef"));
  EXPECT_EQ(get(server.url("/o")).bytes, "0123456789abbdef");
  EXPECT_EQ(get(server.url("/o"), base::Range{10, 14}).bytes, "abbd");
  EXPECT_EQ(get(server.url("/o"), base::Range{0, 12}).bytes, "0123456789ab");
}

TEST(HttpServer, ACutComesAfterExactlyTheBytesAskedFor) {
  for (const bool cleanly : {false, true}) {
    HttpServer server([=](const HttpRequest&) {
      Fault fault;
      fault.cut_after = 12'345;
      fault.cut_cleanly = cleanly;
      return fault;
    });
    server.put("/o", make_object(std::string(50'000, 'x')));
    const Got got = get(server.url("/o"));
    EXPECT_EQ(got.status, 0);
    EXPECT_EQ(got.bytes.size(), 12'345U);
    EXPECT_EQ(server.counts("/o").body_bytes, 12'345U);
  }
}

TEST(HttpServer, AStalledAnswerGoesOnWhenReleased) {
  HttpServer server;
  server.set_decide([&](const HttpRequest&) {
    Fault fault;
    fault.stall_after = 5;
    return fault;
  });
  server.put("/o", make_object("0123456789"));
  MemorySink sink(10, 5, [&](std::size_t landed) -> base::Result<void> {
    if (landed == 5) {
      server.release();
    }
    return {};
  });
  net::HttpClientOptions options;
  options.no_proxy = "127.0.0.1";
  net::HttpGet request;
  request.url = server.url("/o");
  const auto call = base::Call(base::system_clock()).within(std::chrono::seconds(30));
  EXPECT_TRUE(net::make_http_client(options)->get(call, request, sink).ok());
  EXPECT_EQ(sink.bytes(), "0123456789");
}

TEST(HttpServer, TheObjectCanChangeBetweenTwoRequests) {
  HttpServer server([](const HttpRequest& request) {
    Fault fault;
    if (request.path_index >= 1) {
      fault.object = make_object("new", "\"2\"");
    }
    return fault;
  });
  server.put("/o", make_object("old", "\"1\""));
  const Got before = get(server.url("/o"));
  const Got after = get(server.url("/o"));
  EXPECT_EQ(before.bytes + before.etag, "old\"1\"");
  EXPECT_EQ(after.bytes + after.etag, "new\"2\"");
}

TEST(HttpServer, ItCountsRequestsBytesAndRangesByPath) {
  HttpServer server;
  server.put("/a", make_object(std::string(1000, 'a')));
  get(server.url("/a"), base::Range{100, 200});
  get(server.url("/a"));
  get(server.url("/b?x=1"));
  EXPECT_EQ(server.counts("/a").requests, 2U);
  EXPECT_EQ(server.counts("/a").body_bytes, 1100U);
  EXPECT_EQ(server.counts("/b").requests, 1U);
  EXPECT_EQ(server.counts("/c").requests, 0U);
  EXPECT_EQ(server.counts().requests, 3U);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].range, (base::Range{100, 200}));
  EXPECT_EQ(requests[1].path_index, 1U);
  EXPECT_EQ(requests[2].query, "x=1");
}

TEST(HttpServer, FilesOfADirectoryAreServedWithValidators) {
  std::string directory = std::filesystem::temp_directory_path() / "http_server_XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  std::ofstream(directory + "/a b") << "0123456789";
  std::ofstream(directory + "/empty");
  HttpServer server;
  server.serve_directory(directory);
  const Got got = get(server.url("/a%20b"), base::Range{2, 5});
  EXPECT_EQ(got.status, 206);
  EXPECT_EQ(got.bytes, "234");
  EXPECT_NE(got.etag, "");
  EXPECT_EQ(get(server.url("/empty")).status, 200);
  EXPECT_EQ(get(server.url("/absent")).status, 404);
  EXPECT_EQ(get(server.url("/")).status, 404);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weighbridge::testing
