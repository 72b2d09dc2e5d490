#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/body_sink.h"
#include "base/clock.h"
#include "net/http_client.h"

namespace weighbridge::net {

// What an answer is judged against. A value. Thread-compatible.
struct Asked {
  std::optional<base::Range> range;
  HttpExpect expect;
  bool head_only = false;   // HEAD: no answer has a body
  bool any_status = false;  // the body is delivered whatever the status, and nothing is compared
};

// How the end of a body shows. A value. Thread-compatible.
struct Framing {
  enum class Kind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;  // of kLength
};

// The answer to one request, as it arrives: gathers the head line by line, judges it against what
// was asked and expected, and gives the place for its body: the sink's for a 200 or 206; other
// bodies are thrown away. Borrows `asked` and the sink for its life. Confined to the thread that
// performs the request.
class Answer {
 public:
  Answer(const Asked& asked, base::WallTime now, base::BodySink& sink)
      : asked_(asked), now_(now), sink_(sink) {}

  // One line of the head, or one of the trailers, with or without its line end. False: stop, hang
  // up.
  bool on_header_line(std::string_view line);

  bool head_complete() const { return head_complete_; }

  // Of the complete head.
  const Framing& framing() const { return framing_; }

  // May another request follow on the connection, once the body has ended?
  bool keeps_alive() const { return keeps_alive_; }

  // All the bytes that were announced are there: only the end may follow.
  bool is_full() const { return promised_ == received_; }

  // The place for the next bytes of the body, asked for only if there are some. Empty: stop, hang
  // up.
  std::span<std::byte> window();
  // That many were written to the front of the last window(). False: stop, hang up.
  bool landed(std::size_t bytes);

  // What came of it, `transport` being how the connection fared. After the sink had enough, or
  // once the status of a body nobody wants is known, a broken connection is no failure.
  base::Result<HttpHead> finish(base::Result<void> transport);

  // finish() returns what the sink said: the caller adds nothing to it.
  bool sink_failed() const { return sink_failed_; }

  // The body is here to its end.
  bool body_complete() const { return body_complete_; }

  void on_body_end() { body_complete_ = true; }

 private:
  base::Result<void> take_line(std::string_view line);
  base::Result<void> take_status(std::string_view line);
  base::Result<void> end_of_head();
  base::Result<void> judge();
  base::Result<void> judge_encoding() const;
  base::Result<void> judge_partial(std::optional<std::uint64_t> length);
  base::Result<void> judge_whole(std::optional<std::uint64_t> length);
  base::Result<void> judge_validators() const;
  base::Result<void> judge_size() const;
  base::Result<void> frame();
  base::Result<std::optional<std::uint64_t>> content_length() const;
  bool note(base::Result<void> result);

  const Asked& asked_;
  const base::WallTime now_;
  base::BodySink& sink_;

  HttpHead head_;
  bool in_head_ = false;  // after a status line
  bool head_complete_ = false;
  std::size_t header_bytes_ = 0;
  std::size_t header_lines_ = 0;
  Framing framing_;
  bool keeps_alive_ = false;

  bool delivers_ = false;                  // the body goes to the sink
  std::optional<std::uint64_t> promised_;  // bytes of the body, where that is known
  std::uint64_t received_ = 0;
  std::vector<std::byte> discarded_;  // the place of a body that is thrown away
  bool body_complete_ = false;
  bool enough_ = false;  // we hung up, and that is no failure
  bool sink_failed_ = false;
  std::optional<base::Error> failure_;
};

}  // namespace weighbridge::net
