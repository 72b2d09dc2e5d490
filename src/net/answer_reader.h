#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "net/answer.h"
#include "net/byte_stream.h"

namespace weighbridge::net {

// Reads one answer of HTTP/1.1 from a stream: head, interim answers, a body by length, in chunks or
// until the stream ends. The body is received straight into the answer's windows; only what came
// along with a line is copied. Bytes past the end of a body of known length are left unread, and
// the stream is then not reusable. Refuses as kCorrupt what is no HTTP/1.x and every chunk that is
// not framed to the letter. Borrows both for its life. Confined to the thread that reads the
// answer.
class AnswerReader {
 public:
  AnswerReader(ByteStream& stream, Answer& answer);

  // To the end of the answer, or until it says stop. Fails with what the stream says, kUnavailable
  // when it ends too early, kCorrupt as above.
  base::Result<void> read();

  // Where bytes go that came before read(), and how many: the answer may be early.
  std::span<std::byte> space();

  void add(std::size_t bytes) { end_ += bytes; }

  // Has the answer begun? An interim one (1xx) is no beginning.
  bool has_begun() const;

  // Did any byte arrive?
  bool touched() const { return touched_ || end_ > 0; }

  // After read(): the answer is complete, and the stream may carry another one.
  bool reusable() const { return reusable_; }

 private:
  // Each of these returns false when the answer said stop.
  base::Result<bool> read_head();
  base::Result<bool> read_body();
  base::Result<bool> read_length(std::uint64_t length);
  base::Result<bool> read_chunks();
  base::Result<bool> read_trailers();
  base::Result<bool> read_until_close();

  base::Result<std::uint64_t> read_chunk_size();
  base::Result<void> read_chunk_end();
  // The next line with its line end, valid until the next read.
  base::Result<std::string_view> read_line(std::size_t limit_bytes);
  // At least one byte into `into`, from the buffer or the stream.
  base::Result<std::size_t> read_some(std::span<std::byte> into);

  ByteStream& stream_;
  Answer& answer_;
  const std::unique_ptr<std::byte[]> buffer_;
  std::size_t begin_ = 0;  // of what is in the buffer and not used yet
  std::size_t end_ = 0;
  bool touched_ = false;
  bool reusable_ = false;
};

}  // namespace weighbridge::net
