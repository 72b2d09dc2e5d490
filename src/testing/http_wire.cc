#include "testing/http_wire.h"

#include <cstdlib>
#include <limits>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/text.h"

namespace weighbridge::testing {
namespace {

constexpr std::size_t kHeadLimit = 64 * 1024;
constexpr std::uint64_t kBodyLimit = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds kTick{5};

std::optional<base::Range> parse_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes=";
  const std::size_t dash = value.find('-');
  if (!value.starts_with(kUnit) || dash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto first = base::parse_decimal(value.substr(kUnit.size(), dash - kUnit.size()));
  const std::string_view rest = value.substr(dash + 1);
  const auto last =
      rest.empty() ? std::numeric_limits<std::uint64_t>::max() - 1 : base::parse_decimal(rest);
  if (!first || !last || *first > *last) {
    return std::nullopt;
  }
  return base::Range{*first, *last + 1};
}

}  // namespace

std::optional<std::string> HttpWire::read_head() {
  for (;;) {
    const std::size_t end = received_.find("\r\n\r\n");
    if (end != std::string::npos) {
      std::string head = received_.substr(0, end);
      received_.erase(0, end + 4);
      return head;
    }
    if (received_.size() > kHeadLimit) {
      return std::nullopt;
    }
    if (!receive()) {
      return std::nullopt;
    }
  }
}

bool HttpWire::receive() {
  char buffer[16 * 1024];
  const ssize_t count = ::recv(socket_, buffer, sizeof(buffer), 0);
  if (count <= 0) {
    return false;
  }
  received_.append(buffer, static_cast<std::size_t>(count));
  return true;
}

std::optional<std::string> HttpWire::take(std::uint64_t bytes) {
  while (received_.size() < bytes) {
    if (bytes > kBodyLimit || !receive()) {
      return std::nullopt;
    }
  }
  std::string taken = received_.substr(0, bytes);
  received_.erase(0, bytes);
  return taken;
}

std::optional<std::string> HttpWire::take_line() {
  std::size_t end = received_.find("\r\n");
  while (end == std::string::npos) {
    if (received_.size() > kHeadLimit || !receive()) {
      return std::nullopt;
    }
    end = received_.find("\r\n");
  }
  auto line = take(end + 2);
  line->resize(end);
  return line;
}

std::optional<std::string> HttpWire::read_body(const HttpRequest& request) {
  if (request.header("transfer-encoding") != "chunked") {
    const std::string_view length = request.header("content-length");
    const auto bytes = base::parse_decimal(length.empty() ? "0" : length);
    return bytes ? take(*bytes) : std::nullopt;
  }
  std::string body;
  for (;;) {
    const auto line = take_line();
    const std::uint64_t size = line ? std::strtoull(line->c_str(), nullptr, 16) : kBodyLimit;
    const auto chunk = size < kBodyLimit - body.size() ? take(size) : std::nullopt;
    const auto end = chunk ? take_line() : std::nullopt;
    if (!end) {
      return std::nullopt;
    }
    if (size == 0) {
      return body;
    }
    body += *chunk;
  }
}

void HttpWire::drain() {
  while (receive()) {
    received_.clear();
  }
}

bool HttpWire::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool HttpWire::wait(const std::function<bool()>& ready,
                    std::chrono::steady_clock::time_point until) {
  while (!ready() && std::chrono::steady_clock::now() < until) {
    pollfd watched{socket_, POLLRDHUP, 0};
    const bool hung_up = ::poll(&watched, 1, static_cast<int>(kTick.count())) > 0;
    if (hung_up || cancelled_()) {
      return false;
    }
  }
  return true;
}

void HttpWire::prepare_reset() {
  const auto delivered = [this] {
    int queued = 0;
    return ::ioctl(socket_, SIOCOUTQ, &queued) != 0 || queued == 0;
  };
  wait(delivered, std::chrono::steady_clock::now() + std::chrono::seconds(1));
  const linger at_once{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

std::optional<HttpRequest> parse_request(std::string_view head) {
  auto lines = base::split(head, '\n');
  const auto words = base::split(base::trim(lines.front()), ' ');
  if (words.size() != 3) {
    return std::nullopt;
  }
  HttpRequest request;
  request.method = words[0];
  request.target = words[1];
  std::string_view path = words[1];
  if (const std::size_t scheme = path.find("://"); scheme != std::string_view::npos) {
    const std::size_t slash = path.find('/', scheme + 3);
    path = slash == std::string_view::npos ? "/" : path.substr(slash);
  }
  const std::size_t question = path.find('?');
  request.path = path.substr(0, question);
  request.query = question == std::string_view::npos ? "" : path.substr(question + 1);
  for (const std::string_view line : std::span(lines).subspan(1)) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      request.headers.emplace_back(base::to_lower(line.substr(0, colon)),
                                   base::trim(line.substr(colon + 1)));
    }
  }
  request.range = parse_range(request.header("range"));
  return request;
}

}  // namespace weighbridge::testing
