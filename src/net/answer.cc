#include "net/answer.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_fields.h"

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kHeaderBytesLimit = std::size_t{64} * 1024;
constexpr std::size_t kHeaderLinesLimit = 256;
constexpr std::uint64_t kDiscardedBytesLimit = std::uint64_t{64} * 1024;
constexpr std::size_t kDiscardWindowBytes = std::size_t{16} * 1024;

// The one value of a header that must not contradict itself.
Result<std::string_view> single(const HttpHead& head, std::string_view name) {
  std::string_view found;
  for (const HttpHeader& header : head.headers) {
    if (header.name != name) {
      continue;
    }
    if (!found.empty() && found != header.value) {
      return Error(Code::kCorrupt, fmt::format("the answer has two different {} headers", name));
    }
    found = header.value;
  }
  return found;
}

Error wrong_range(std::string_view value, const base::Range& asked) {
  return {Code::kCorrupt,
          fmt::format("asked for bytes {}-{}, the answer's Content-Range is '{}'",
                      asked.begin,
                      asked.end - 1,
                      base::printable(value))};
}

Error changed(std::string_view what, std::string_view was, std::string_view is) {
  return {Code::kConflict,
          fmt::format("the object changed while it was being read: its {} was {}, is now {}",
                      what,
                      base::printable(was, 128),
                      base::printable(is, 128))};
}

}  // namespace

bool Answer::note(Result<void> result) {
  if (result.ok()) {
    return true;
  }
  failure_ = std::move(result).error();
  return false;
}

bool Answer::on_header_line(std::string_view line) {
  header_bytes_ += line.size();
  header_lines_ += 1;
  if (header_bytes_ > kHeaderBytesLimit || header_lines_ > kHeaderLinesLimit) {
    return note(Error(Code::kCorrupt,
                      fmt::format("the answer's headers pass the limit of {} bytes and {} lines",
                                  kHeaderBytesLimit,
                                  kHeaderLinesLimit)));
  }
  return head_complete_ || note(take_line(line));  // trailers say nothing we would use
}

Result<void> Answer::take_line(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  if (!in_head_) {
    return take_status(line);
  }
  if (line.empty()) {
    return end_of_head();
  }
  auto header = parse_header_line(line);
  if (!header) {
    return Error(Code::kCorrupt,
                 fmt::format("the answer has a malformed header: '{}'",
                             base::printable(line.substr(0, line.find(':')), 32)));
  }
  head_.headers.push_back(std::move(*header));
  return {};
}

Result<void> Answer::take_status(std::string_view line) {
  const auto status = parse_status_line(line);
  if (!status || !line.starts_with("HTTP/1.")) {
    return Error(Code::kCorrupt, "the answer is no HTTP/1.1");
  }
  if (*status == 101) {
    return Error(Code::kCorrupt, "the server switches to a protocol nobody asked for");
  }
  head_ = {};
  head_.status = *status;
  in_head_ = true;
  keeps_alive_ = !line.starts_with("HTTP/1.0");
  return {};
}

Result<void> Answer::end_of_head() {
  in_head_ = false;
  if (head_.status < 200) {
    return {};  // an interim answer (100 Continue, 103 Early Hints): the real one follows
  }
  head_complete_ = true;
  auto framed = frame();
  auto judged = judge();
  if (!judged.ok()) {
    return judged;
  }
  if (!framed.ok() && !delivers_) {
    framing_ = {};  // its status is all we wanted of it
    keeps_alive_ = false;
    return {};
  }
  return framed;
}

// How the body ends, and whether the connection lives on after it (RFC 9112, 6.3 and 9.3).
Result<void> Answer::frame() {
  bool asks_to_close = false;
  bool asks_to_stay = false;
  for (const HttpHeader& header : head_.headers) {
    if (header.name == "connection") {
      for (const std::string_view option : base::split(header.value, ',')) {
        const std::string word = base::to_lower(base::trim(option));
        asks_to_close = asks_to_close || word == "close";
        asks_to_stay = asks_to_stay || word == "keep-alive";
      }
    }
  }
  const bool old = !keeps_alive_;  // HTTP/1.0
  keeps_alive_ = !asks_to_close && (!old || asks_to_stay);
  const bool bodiless = asked_.head_only || head_.status == 204 || head_.status == 304;
  if (bodiless) {
    return {};
  }
  const std::string transfer = base::to_lower(TRY(single(head_, "transfer-encoding")));
  const auto length = TRY(content_length());
  if (transfer == "chunked") {
    framing_.kind = Framing::Kind::kChunked;
    // Two framings, or one that the version does not have: whoever disagrees with us about the end
    // of this body cannot make us take its rest for another answer.
    keeps_alive_ = keeps_alive_ && !old && head_.header("content-length").empty();
  } else if (transfer.empty() && length) {
    framing_ = {Framing::Kind::kLength, *length};
  } else {
    framing_.kind = Framing::Kind::kUntilClose;
    keeps_alive_ = false;
  }
  return {};
}

Result<void> Answer::judge() {
  head_.etag = head_.header("etag");
  head_.last_modified = head_.header("last-modified");
  head_.retry_after = parse_retry_after(head_.header("retry-after"), now_);
  if (head_.status == 416) {
    if (const auto range = parse_content_range(head_.header("content-range"))) {
      head_.total_bytes = range->total;
    }
    TRY(judge_size());  // beyond its end: it may be shorter than it should be
  }
  if (asked_.any_status) {
    delivers_ = true;
    head_.total_bytes = asked_.head_only ? TRY(content_length()) : head_.total_bytes;
    promised_ =
        framing_.kind == Framing::Kind::kLength ? std::optional(framing_.length) : promised_;
    return {};
  }
  if (head_.status != 200 && head_.status != 206) {
    return {};
  }
  TRY(judge_encoding());
  const auto length = TRY(content_length());
  TRY(head_.status == 206 ? judge_partial(length) : judge_whole(length));
  TRY(judge_validators());
  delivers_ = true;
  return {};
}

Result<void> Answer::judge_encoding() const {
  const auto content = base::to_lower(TRY(single(head_, "content-encoding")));
  const auto transfer = base::to_lower(TRY(single(head_, "transfer-encoding")));
  if ((!content.empty() && content != "identity") || (!transfer.empty() && transfer != "chunked")) {
    return Error(Code::kUnsupported,
                 fmt::format("the answer is encoded ('{}') although it was asked not to be",
                             base::printable(content.empty() ? transfer : content, 32)));
  }
  return {};
}

// Of the body; nothing where the answer does not say, as when it comes in chunks.
Result<std::optional<std::uint64_t>> Answer::content_length() const {
  const std::string_view text = TRY(single(head_, "content-length"));
  if (text.empty() || !head_.header("transfer-encoding").empty()) {
    return std::optional<std::uint64_t>();
  }
  const auto length = base::parse_decimal(text);
  if (!length) {
    return Error(Code::kCorrupt,
                 fmt::format("malformed Content-Length '{}'", base::printable(text, 32)));
  }
  return length;
}

Result<void> Answer::judge_partial(std::optional<std::uint64_t> length) {
  if (!asked_.range) {
    return Error(Code::kCorrupt, "the answer is a part (206) of what was asked for as a whole");
  }
  const base::Range asked = *asked_.range;
  const std::string_view text = TRY(single(head_, "content-range"));
  const auto content = parse_content_range(text);
  const bool multipart =
      base::to_lower(head_.header("content-type")).starts_with("multipart/byteranges");
  if (!content || !content->range || multipart) {
    return wrong_range(multipart ? "multipart/byteranges" : text, asked);
  }
  // Without a total only the full range can be told from one cut short.
  const auto total = content->total ? content->total : asked_.expect.total_bytes;
  const std::uint64_t end = std::min(asked.end, total.value_or(asked.end));
  if (*content->range != base::Range{asked.begin, end}) {
    return wrong_range(text, asked);
  }
  if (length && *length != content->range->size()) {
    return Error(
        Code::kCorrupt,
        fmt::format(
            "Content-Length {} contradicts Content-Range '{}'", *length, base::printable(text)));
  }
  head_.total_bytes = content->total;
  promised_ = content->range->size();
  return {};
}

Result<void> Answer::judge_whole(std::optional<std::uint64_t> length) {
  if (asked_.range && asked_.range->begin > 0) {
    return Error(Code::kUnsupported, "the server does not serve ranges")
        .with_hint("Such a server is read as one stream, from the first byte on.");
  }
  head_.ignored_range = asked_.range.has_value();
  head_.total_bytes = length;
  promised_ = length ? length : asked_.expect.total_bytes;
  return {};
}

Result<void> Answer::judge_validators() const {
  const HttpExpect& expect = asked_.expect;
  const bool by_etag = !expect.etag.empty() && !head_.etag.empty();
  if (by_etag && expect.etag != head_.etag) {
    return changed("ETag", expect.etag, head_.etag);
  }
  const bool by_time = !by_etag && !expect.last_modified.empty() && !head_.last_modified.empty();
  if (by_time && expect.last_modified != head_.last_modified) {
    return changed("Last-Modified", expect.last_modified, head_.last_modified);
  }
  return judge_size();
}

Result<void> Answer::judge_size() const {
  const HttpExpect& expect = asked_.expect;
  if (!expect.total_bytes || !head_.total_bytes || *expect.total_bytes == *head_.total_bytes) {
    return {};
  }
  if (expect.etag.empty() && expect.last_modified.empty()) {
    return Error(
        Code::kCorrupt,
        fmt::format(
            "the file has {} bytes, expected are {}", *head_.total_bytes, *expect.total_bytes));
  }
  return changed("size", std::to_string(*expect.total_bytes), std::to_string(*head_.total_bytes));
}

std::span<std::byte> Answer::window() {
  if (!delivers_) {
    enough_ = received_ > kDiscardedBytesLimit;  // a new connection is cheaper than the rest
    discarded_.resize(kDiscardWindowBytes);
    return enough_ ? std::span<std::byte>() : std::span(discarded_);
  }
  if (is_full()) {
    note(Error(Code::kCorrupt,
               fmt::format("the body is longer than the {} bytes announced", *promised_)));
    return {};
  }
  const std::span<std::byte> window = sink_.window();
  enough_ = window.empty();
  if (!promised_) {
    return window;
  }
  return window.first(std::min<std::uint64_t>(window.size(), *promised_ - received_));
}

bool Answer::landed(std::size_t bytes) {
  received_ += bytes;
  if (!delivers_) {
    return true;
  }
  auto taken = sink_.landed(bytes);
  sink_failed_ = !taken.ok();
  return note(std::move(taken));
}

Result<HttpHead> Answer::finish(Result<void> transport) {
  if (failure_) {
    return std::move(*failure_);
  }
  const bool status_is_all = head_complete_ && (!delivers_ || asked_.any_status);
  const bool stopped = !transport.ok() && transport.error().code() == Code::kCancelled;
  if (enough_ || (status_is_all && !stopped)) {
    return std::move(head_);
  }
  const bool too_short = promised_ && received_ < *promised_;
  if (transport.ok() && !too_short) {
    return std::move(head_);
  }
  auto error = transport.ok() ? Error(Code::kUnavailable, "the connection was closed early")
                              : std::move(transport).error();
  if (!head_complete_) {
    return error;
  }
  const std::string all = promised_ ? fmt::format(" of {}", *promised_) : std::string();
  return std::move(error).context(fmt::format("after {}{} bytes", received_, all));
}

}  // namespace weighbridge::net
