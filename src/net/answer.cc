#include "net/answer.h"

#include <algorithm>
#include <cstring>
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
  if (const auto status = parse_status_line(line)) {
    head_ = {};
    head_.status = *status;
    return {};
  }
  if (line.empty()) {
    // After an interim answer (100 Continue, 103 Early Hints) the real one follows.
    head_complete_ = head_.status >= 200;
    return head_complete_ ? judge() : Result<void>();
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

Result<void> Answer::judge() {
  head_.etag = head_.header("etag");
  head_.last_modified = head_.header("last-modified");
  head_.retry_after = parse_retry_after(head_.header("retry-after"), now_);
  if (head_.status == 416) {
    if (const auto range = parse_content_range(head_.header("content-range"))) {
      head_.total_bytes = range->total;
    }
    return judge_size();  // beyond its end: it may be shorter than it should be
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
  if (!request_.range) {
    return Error(Code::kCorrupt, "the answer is a part (206) of what was asked for as a whole");
  }
  const base::Range asked = *request_.range;
  const std::string_view text = TRY(single(head_, "content-range"));
  const auto content = parse_content_range(text);
  const bool multipart =
      base::to_lower(head_.header("content-type")).starts_with("multipart/byteranges");
  if (!content || !content->range || multipart) {
    return wrong_range(multipart ? "multipart/byteranges" : text, asked);
  }
  // Without a total only the full range can be told from one cut short.
  const auto total = content->total ? content->total : request_.expect.total_bytes;
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
  if (request_.range && request_.range->begin > 0) {
    return Error(Code::kUnsupported, "the server does not serve ranges")
        .with_hint("Such a server is read as one stream, from the first byte on.");
  }
  head_.ignored_range = request_.range.has_value();
  head_.total_bytes = length;
  promised_ = length ? length : request_.expect.total_bytes;
  return {};
}

Result<void> Answer::judge_validators() const {
  const HttpExpect& expect = request_.expect;
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
  const HttpExpect& expect = request_.expect;
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

bool Answer::on_body(std::span<const std::byte> bytes) {
  if (delivers_) {
    return note(deliver(bytes)) && !enough_;
  }
  received_ += bytes.size();
  enough_ = received_ > kDiscardedBytesLimit;  // a new connection is cheaper than the rest
  return !enough_;
}

Result<void> Answer::deliver(std::span<const std::byte> bytes) {
  if (promised_ && bytes.size() > *promised_ - received_) {
    return Error(Code::kCorrupt,
                 fmt::format("the body is longer than the {} bytes announced", *promised_));
  }
  while (!bytes.empty()) {
    const std::span<std::byte> window = sink_.window();
    if (window.empty()) {
      enough_ = true;
      return {};
    }
    const std::size_t count = std::min(window.size(), bytes.size());
    std::memcpy(window.data(), bytes.data(), count);
    received_ += count;
    bytes = bytes.subspan(count);
    auto taken = sink_.landed(count);
    if (!taken.ok()) {
      sink_failed_ = true;
      return taken;
    }
  }
  return {};
}

Result<HttpHead> Answer::finish(Result<void> transport) {
  if (failure_) {
    return std::move(*failure_);
  }
  const bool status_is_all = head_complete_ && !delivers_;
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
