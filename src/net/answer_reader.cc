#include "net/answer_reader.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_fields.h"

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

// One line must fit, and a head's lines are limited by the answer to the same in all.
constexpr std::size_t kBufferBytes = std::size_t{64} * 1024;
constexpr std::size_t kHeadLineLimit = kBufferBytes;
constexpr std::size_t kChunkLineLimit = std::size_t{4} * 1024;
// How much is received along with a line: what is more than the line is copied.
constexpr std::size_t kLineReceiveBytes = std::size_t{4} * 1024;
// How much of a body is received at once: it shall still be in the cache when the sink hashes it.
constexpr std::size_t kBodyReceiveBytes = std::size_t{128} * 1024;

Error closed_early() {
  return {Code::kUnavailable, "the connection was closed early"};
}

}  // namespace

AnswerReader::AnswerReader(ByteStream& stream, Answer& answer)
    : stream_(stream),
      answer_(answer),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)) {}

std::span<std::byte> AnswerReader::space() {
  return {buffer_.get() + end_, std::min(kLineReceiveBytes, kBufferBytes - end_)};
}

bool AnswerReader::has_begun() const {
  constexpr std::string_view kInterim = "HTTP/1.1 1";
  const std::string_view text(reinterpret_cast<const char*>(buffer_.get()), end_);
  return end_ == kBufferBytes || (!text.starts_with(kInterim) && !kInterim.starts_with(text));
}

Result<void> AnswerReader::read() {
  if (!TRY(read_head())) {
    return {};
  }
  stream_.begin_wait();
  if (!TRY(read_body())) {
    return {};
  }
  answer_.on_body_end();
  reusable_ = answer_.keeps_alive() && begin_ == end_;
  return {};
}

Result<bool> AnswerReader::read_head() {
  while (!answer_.head_complete()) {
    if (!answer_.on_header_line(TRY(read_line(kHeadLineLimit)))) {
      return false;
    }
  }
  return true;
}

Result<bool> AnswerReader::read_body() {
  switch (answer_.framing().kind) {
    case Framing::Kind::kNone:
      return true;
    case Framing::Kind::kLength:
      return read_length(answer_.framing().length);
    case Framing::Kind::kChunked:
      return read_chunks();
    case Framing::Kind::kUntilClose:
      return read_until_close();
  }
  return true;
}

Result<bool> AnswerReader::read_length(std::uint64_t length) {
  while (length > 0) {
    const std::span<std::byte> window = answer_.window();
    if (window.empty()) {
      return false;
    }
    const std::size_t bytes = TRY(read_some(
        window.first(std::min<std::uint64_t>({window.size(), length, kBodyReceiveBytes}))));
    if (bytes == 0) {
      return closed_early();
    }
    length -= bytes;
    if (!answer_.landed(bytes)) {
      return false;
    }
  }
  return true;
}

Result<bool> AnswerReader::read_chunks() {
  for (;;) {
    const std::uint64_t size = TRY(read_chunk_size());
    if (size == 0) {
      return read_trailers();
    }
    if (!TRY(read_length(size))) {
      return false;
    }
    TRY(read_chunk_end());
  }
}

Result<std::uint64_t> AnswerReader::read_chunk_size() {
  const std::string_view line = TRY(read_line(kChunkLineLimit));
  const auto size = parse_chunk_size(line);
  if (!size) {
    return Error(Code::kCorrupt,
                 fmt::format("the answer has a malformed chunk: '{}'",
                             base::printable(base::trim(line), 32)));
  }
  return *size;
}

Result<void> AnswerReader::read_chunk_end() {
  if (TRY(read_line(kChunkLineLimit)) != "\r\n") {
    return Error(Code::kCorrupt, "a chunk of the answer does not end where it should");
  }
  return {};
}

Result<bool> AnswerReader::read_trailers() {
  for (;;) {
    const std::string_view line = TRY(read_line(kHeadLineLimit));
    if (line == "\r\n" || line == "\n") {
      return true;
    }
    if (!answer_.on_header_line(line)) {
      return false;
    }
  }
}

Result<bool> AnswerReader::read_until_close() {
  for (;;) {
    std::byte surplus{};
    const bool full = answer_.is_full();
    std::span<std::byte> window(&surplus, 1);
    if (!full) {
      window = answer_.window();
      if (window.empty()) {
        return false;
      }
    }
    const std::size_t bytes =
        TRY(read_some(window.first(std::min(window.size(), kBodyReceiveBytes))));
    if (bytes == 0) {
      return true;
    }
    if (full) {
      return !answer_.window().empty();  // which says that the body is too long
    }
    if (!answer_.landed(bytes)) {
      return false;
    }
  }
}

Result<std::string_view> AnswerReader::read_line(std::size_t limit_bytes) {
  std::size_t searched = begin_;
  for (;;) {
    const auto* from = buffer_.get() + searched;
    if (const void* found = std::memchr(from, '\n', end_ - searched); found != nullptr) {
      const auto* line = reinterpret_cast<const char*>(buffer_.get() + begin_);
      const std::string_view text(
          line, static_cast<std::size_t>(static_cast<const char*>(found) - line) + 1);
      begin_ += text.size();
      return text;
    }
    if (end_ - begin_ >= limit_bytes) {
      return Error(Code::kCorrupt,
                   fmt::format("a line of the answer passes the limit of {} bytes", limit_bytes));
    }
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    searched = end_;
    const std::size_t bytes = TRY(stream_.receive(space()));
    if (bytes == 0) {
      return closed_early();
    }
    end_ += bytes;
    touched_ = true;
  }
}

Result<std::size_t> AnswerReader::read_some(std::span<std::byte> into) {
  if (begin_ == end_) {
    return stream_.receive(into);
  }
  const std::size_t bytes = std::min(into.size(), end_ - begin_);
  std::memcpy(into.data(), buffer_.get() + begin_, bytes);
  begin_ += bytes;
  return bytes;
}

}  // namespace weighbridge::net
