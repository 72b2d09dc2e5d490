// An origin of a shape (testing/shaped_origin.h).
//
//   origin_server DIR PORT CONNECTION-RATE MOST-ANSWERS
//
// CONNECTION-RATE: bytes a second on one connection; MOST-ANSWERS: at once, the others get a 503; 0
// is no limit. Prints "listening" and serves until its standard input ends. It answers each line:
// "plain": nothing stalls; "stall PATH OFFSET": the next answer that holds that byte stands still
// there for 30 s; "bytes": how many bytes of bodies were sent so far; "refused": how many 503.

#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "testing/http_server.h"
#include "testing/shaped_origin.h"
#include "turns.h"

namespace weighbridge::bench {
namespace {

constexpr std::chrono::seconds kStall{30};

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

// Confined to one thread.
class Origin {
 public:
  Origin(const std::string& directory, int port, testing::Shape shape)
      : shape_(std::move(shape)), server_({}, port) {
    server_.serve_directory(directory);
    take_shape();
  }

  std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "bytes") {
      return std::to_string(server_.counts().body_bytes);
    }
    if (word == "refused") {
      return std::to_string(origin_->refused());
    }
    shape_.stall.reset();
    if (word == "stall") {
      shape_.stall.emplace();
      shape_.stall->lasts = kStall;
      words >> shape_.stall->path >> shape_.stall->offset;
    }
    take_shape();
    return "ok";
  }

 private:
  // Connections that live on are counted anew: their next answer is of the new shape.
  void take_shape() {
    origin_.emplace(shape_);
    server_.set_decide(origin_->decide());
  }

  testing::Shape shape_;
  testing::HttpServer server_;
  std::optional<testing::ShapedOrigin> origin_;
};

void run(const std::string& directory, int port, testing::Shape shape) {
  Origin origin(directory, port, std::move(shape));
  say("listening");
  for (std::string line; std::getline(std::cin, line);) {
    say(origin.answer(line));
  }
}

}  // namespace
}  // namespace weighbridge::bench

int main(int argc, char** argv) {
  using weighbridge::bench::number;
  if (argc != 5) {
    weighbridge::bench::fail("usage: origin_server DIR PORT CONNECTION-RATE MOST-ANSWERS");
  }
  weighbridge::testing::Shape shape;
  shape.connection_bytes_per_second = number(argv[3]);
  shape.most_answers = number(argv[4]);
  weighbridge::bench::run(argv[1], static_cast<int>(number(argv[2])), shape);
}
