#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>

#include "base/body_source.h"
#include "base/call.h"
#include "net/byte_stream.h"
#include "net/http_client.h"
#include "net/socket.h"

namespace weighbridge::net {

// One request's use of a connection: sends and receives, and waits no longer than the call and the
// stall limit allow. A window of the stall limit opens with the wire and again whenever enough has
// moved; if it passes before that, the request has stalled. Time between two calls is not the
// other side's and does not count. Fails with kTimedOut, kCancelled and what the socket says.
// Borrows all it is given for its life. Confined to the thread that performs the request.
class Wire final : public ByteStream {
 public:
  Wire(const base::Call& call, const HttpClientOptions& options, Socket& socket);

  base::Result<std::size_t> receive(std::span<std::byte> into) override;
  void begin_wait() override;

  // Sends some of it and waits where it cannot; 0 bytes after a wait that something else may have
  // ended: an early answer. A part in a file goes over a raw connection only.
  base::Result<std::size_t> send(const base::BodyPart& part);
  // What has arrived already; 0 if nothing has.
  base::Result<std::size_t> receive_arrived(std::span<std::byte> into);

 private:
  base::Result<void> wait(bool to_send);
  // Every call of ours begins and ends with these: what is between is not the other side's time.
  void resume();
  base::Result<std::size_t> moved(std::size_t bytes);
  base::Result<std::optional<std::size_t>> try_send(const base::BodyPart& part);

  const base::Call& call_;
  Socket& socket_;
  const std::chrono::milliseconds stall_limit_;
  const std::uint64_t least_bytes_;  // that a window of the stall limit must bring
  base::TimePoint window_begin_;
  std::uint64_t window_bytes_ = 0;
  base::TimePoint paused_at_;
  std::stop_callback<std::function<void()>> wake_;
};

}  // namespace weighbridge::net
