#include "net/wire.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

// At least 1, so that silence is always too little.
std::uint64_t least_window_bytes(const HttpClientOptions& options) {
  const auto window_ms = static_cast<std::uint64_t>(options.stall_timeout.count());
  return std::max<std::uint64_t>(1, options.least_bytes_per_second * window_ms / 1000);
}

Error stalled(std::uint64_t bytes, std::chrono::milliseconds window) {
  std::string message = fmt::format("nothing arrived for {} ms", window.count());
  if (bytes > 0) {
    message = fmt::format("only {} bytes went to and fro in {} ms", bytes, window.count());
  }
  return {Code::kTimedOut, std::move(message)};
}

}  // namespace

Wire::Wire(const base::Call& call, const HttpClientOptions& options, Socket& socket)
    : call_(call),
      socket_(socket),
      stall_limit_(options.stall_timeout),
      least_bytes_(least_window_bytes(options)),
      window_begin_(call.clock().now()),
      paused_at_(window_begin_),
      wake_((socket.forget_wake(), call.stop()), [&socket] { socket.wake(); }) {}

Result<std::size_t> Wire::receive(std::span<std::byte> into) {
  resume();
  for (;;) {
    if (const auto bytes = TRY(socket_.try_receive(into))) {
      return moved(*bytes);
    }
    TRY(wait(false));
  }
}

Result<std::size_t> Wire::receive_arrived(std::span<std::byte> into) {
  resume();
  const auto bytes = TRY(socket_.try_receive(into));
  if (bytes == 0U) {
    return Error(Code::kUnavailable, "the connection was closed early");
  }
  return moved(bytes.value_or(0));
}

Result<std::size_t> Wire::send(const base::BodyPart& part) {
  resume();
  auto bytes = TRY(try_send(part));
  if (!bytes) {
    TRY(wait(true));
    bytes = TRY(try_send(part));
  }
  return moved(bytes.value_or(0));
}

Result<std::optional<std::size_t>> Wire::try_send(const base::BodyPart& part) {
  if (const auto* file = std::get_if<base::FilePart>(&part)) {
    return socket_.try_send_file(*file);
  }
  return socket_.try_send(std::get<std::span<const std::byte>>(part));
}

void Wire::begin_wait() {
  window_begin_ = call_.clock().now();
  window_bytes_ = 0;
  paused_at_ = window_begin_;
}

void Wire::resume() {
  window_begin_ += call_.clock().now() - paused_at_;
}

Result<std::size_t> Wire::moved(std::size_t bytes) {
  window_bytes_ += bytes;
  paused_at_ = call_.clock().now();
  if (window_bytes_ >= least_bytes_) {
    window_begin_ = paused_at_;
    window_bytes_ = 0;
  }
  return bytes;
}

// Until something moves or happens.
Result<void> Wire::wait(bool to_send) {
  TRY(call_.check());
  const base::Duration open = call_.clock().now() - window_begin_;
  if (open >= stall_limit_) {
    return stalled(window_bytes_, stall_limit_);
  }
  socket_.wait(to_send, std::min<base::Duration>(call_.remaining(), stall_limit_ - open));
  return {};
}

}  // namespace weighbridge::net
