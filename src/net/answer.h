#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/body_sink.h"
#include "base/clock.h"
#include "net/http_client.h"

namespace weighbridge::net {

// The answer to one request, as it arrives: gathers the head line by line, judges it against what
// was asked and expected, and hands the body of a 200 or 206 to the sink; other bodies are thrown
// away. Borrows request and sink for its life. Confined to the thread that performs the request.
class Answer {
 public:
  Answer(const HttpGet& request, base::WallTime now, base::BodySink& sink)
      : request_(request), now_(now), sink_(sink) {}

  // One line of the head with its line end, or one of the trailers. False: stop, hang up.
  bool on_header_line(std::string_view line);
  // The next bytes of the body. False: stop, hang up.
  bool on_body(std::span<const std::byte> bytes);

  // What came of it, `transport` being how the connection fared. After the sink had enough, or
  // once the status of a body nobody wants is known, a broken connection is no failure.
  base::Result<HttpHead> finish(base::Result<void> transport);

  // finish() returns what the sink said: the caller adds nothing to it.
  bool sink_failed() const { return sink_failed_; }

 private:
  base::Result<void> take_line(std::string_view line);
  base::Result<void> judge();
  base::Result<void> judge_encoding() const;
  base::Result<void> judge_partial(std::optional<std::uint64_t> length);
  base::Result<void> judge_whole(std::optional<std::uint64_t> length);
  base::Result<void> judge_validators() const;
  base::Result<void> judge_size() const;
  base::Result<std::optional<std::uint64_t>> content_length() const;
  base::Result<void> deliver(std::span<const std::byte> bytes);
  bool note(base::Result<void> result);

  const HttpGet& request_;
  const base::WallTime now_;
  base::BodySink& sink_;

  HttpHead head_;
  bool head_complete_ = false;
  std::size_t header_bytes_ = 0;
  std::size_t header_lines_ = 0;

  bool delivers_ = false;                  // the body goes to the sink
  std::optional<std::uint64_t> promised_;  // bytes of the body, where that is known
  std::uint64_t received_ = 0;
  bool enough_ = false;  // we hung up, and that is no failure
  bool sink_failed_ = false;
  std::optional<base::Error> failure_;
};

}  // namespace weighbridge::net
