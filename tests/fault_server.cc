// Serves a directory over loopback HTTP and flips bytes on request, to show that they are caught:
//
//   fault_server DIR [--port N] [--flip PATH:OFFSET]... [--connection-rate BYTES] [--rate BYTES]
//                [--most-answers N]
//
// The rates are bytes a second, of one connection and of all; above N answers at once come 503s.
// Prints "listening http://127.0.0.1:PORT" and serves until SIGINT or SIGTERM.
//   GET /_fault?flip=PATH:OFFSET   flips that byte in every answer from now on; may be repeated
//   GET /_fault?clear              serves the files as they are again
//   GET /_stats                    {"/path": {"requests": N, "bytes": N}, ...}

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "sync/guarded.h"
#include "testing/http_server.h"
#include "testing/shaped_origin.h"

namespace {

using weighbridge::testing::Fault;
using weighbridge::testing::HttpRequest;
using weighbridge::testing::HttpServer;

constexpr std::uint8_t kAllBits = 0xFF;

struct Options {
  std::string directory;
  int port = 0;
  std::vector<std::string> flips;
  weighbridge::testing::Shape shape;
};

// Which bytes to flip, by path. Thread-safe.
class Flips {
 public:
  // "PATH:OFFSET", the path with or without its '/'; false if it is not that.
  bool add(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
      return false;
    }
    const auto offset = weighbridge::base::parse_decimal(text.substr(colon + 1));
    std::string path(text.substr(0, colon));
    if (!offset || path.empty()) {
      return false;
    }
    if (path.front() != '/') {
      path.insert(path.begin(), '/');
    }
    by_path_.with([&](ByPath& flips) { flips[path].emplace_back(*offset, kAllBits); });
    return true;
  }

  void clear() {
    by_path_.with([](ByPath& flips) { flips.clear(); });
  }

  std::vector<std::pair<std::uint64_t, std::uint8_t>> of(const std::string& path) const {
    return by_path_.with([&](const ByPath& flips) {
      const auto found = flips.find(path);
      return found == flips.end() ? std::vector<std::pair<std::uint64_t, std::uint8_t>>()
                                  : found->second;
    });
  }

 private:
  using ByPath = std::map<std::string, std::vector<std::pair<std::uint64_t, std::uint8_t>>>;
  weighbridge::sync::Guarded<ByPath> by_path_;
};

std::string stats(const HttpServer& server) {
  std::string json = "{";
  for (const auto& [path, counts] : server.counts_by_path()) {
    // A path as it came may hold quotes and backslashes.
    std::string quoted;
    for (const char c : weighbridge::base::printable(path)) {
      quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
    }
    json += fmt::format("{}\"{}\": {{\"requests\": {}, \"bytes\": {}}}",
                        json.size() > 1 ? ", " : "",
                        quoted,
                        counts.requests,
                        counts.body_bytes);
  }
  return json + "}\n";
}

Fault text(std::string body, int status = 0) {
  Fault fault;
  fault.status = status;
  fault.object = weighbridge::testing::make_object(std::move(body));
  return fault;
}

Fault control(Flips& flips, std::string_view query) {
  constexpr std::string_view kFlip = "flip=";
  if (query == "clear") {
    flips.clear();
    return text("cleared\n");
  }
  if (query.starts_with(kFlip) && flips.add(query.substr(kFlip.size()))) {
    return text("set\n");
  }
  return text("flip=PATH:OFFSET or clear\n", 400);
}

// 0, which is no limit, if it is none.
std::uint64_t number(std::string_view text) {
  return weighbridge::base::parse_decimal(text).value_or(0);
}

std::optional<Options> parse(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool last = i + 1 == words.size();
    if (words[i] == "--flip" && !last) {
      options.flips.push_back(words[++i]);
    } else if (words[i] == "--port" && !last) {
      const auto port = weighbridge::base::parse_decimal(words[++i]);
      if (!port || *port > 65535) {
        return std::nullopt;
      }
      options.port = static_cast<int>(*port);
    } else if (words[i] == "--connection-rate" && !last) {
      options.shape.connection_bytes_per_second = number(words[++i]);
    } else if (words[i] == "--rate" && !last) {
      options.shape.total_bytes_per_second = number(words[++i]);
    } else if (words[i] == "--most-answers" && !last) {
      options.shape.most_answers = number(words[++i]);
    } else if (options.directory.empty() && !words[i].starts_with("--")) {
      options.directory = words[i];
    } else {
      return std::nullopt;
    }
  }
  return options.directory.empty() ? std::nullopt : std::optional(std::move(options));
}

int run(const Options& options) {
  Flips flips;
  for (const std::string& flip : options.flips) {
    if (!flips.add(flip)) {
      fmt::print(stderr, "fault_server: '{}' is not PATH:OFFSET\n", flip);
      return 2;
    }
  }
  // Blocked before the first thread is made, so that only sigwait() below gets them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  HttpServer server({}, options.port);
  const auto shaped = weighbridge::testing::ShapedOrigin(options.shape).decide();
  server.set_decide([&](const HttpRequest& request) {
    if (request.path == "/_stats") {
      return text(stats(server));
    }
    if (request.path == "/_fault") {
      return control(flips, request.query);
    }
    Fault fault = shaped(request);
    fault.flip_bits = flips.of(request.path);
    return fault;
  });
  server.serve_directory(options.directory);
  fmt::print("listening {}\n", server.url());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    fmt::print(
        stderr,
        "usage: fault_server DIR [--port N] [--flip PATH:OFFSET]... [--connection-rate BYTES] "
        "[--rate BYTES] [--most-answers N]\n");
    return 2;
  }
  return run(*options);
}
