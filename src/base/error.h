#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace weighbridge::base {

// Why something failed, as a closed list. What follows from a code (may it be tried again, which
// HTTP status, errno and exit status it becomes) stands in one table, `facts()`.
enum class Code : std::uint8_t {
  kInvalid,      // the caller asked for something that cannot be: a bad reference, flag, file
  kCorrupt,      // bytes are not what their proof, or their format, says
  kNotFound,     // it is not there
  kExists,       // it is there already, and different
  kDenied,       // credentials or permissions do not allow it
  kUnsupported,  // well-formed, but not something this version or this server can do
  kExhausted,    // out of disk, memory, quota or a limit written in the code
  kBusy,         // held by somebody else, or the other side asks us to slow down
  kUnavailable,  // the other side cannot be reached or broke off
  kTimedOut,     // a deadline passed, or nothing moved for too long
  kCancelled,    // the caller asked to stop
  kIo,           // the local disk or kernel reported an error
  kConflict,     // it changed while it was being read
  kInternal,     // a defect of ours
};

// One row of the table that maps a Code to what the outside world understands.
struct CodeFacts {
  Code code;
  std::string_view name;  // "not_found": what JSON and logs print
  bool retry;             // may the same request succeed if it is simply tried again?
  int http_status;        // what our own servers answer
  int errno_value;        // what a file system or the C interface reports
  int exit_status;        // what the command line exits with
};

const CodeFacts& facts(Code code);

// The whole table, in the order of the enumerators: for documentation and its tests.
std::span<const CodeFacts> all_facts();

// A failure: code, message for a person, and where it happened. One owning pointer, so that a
// Result stays small. Move-only; copy() where several waiters get the same one.
// Thread-compatible.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message);

  Error(Error&&) noexcept;
  Error& operator=(Error&&) noexcept;
  Error(const Error&) = delete;
  Error& operator=(const Error&) = delete;
  ~Error();

  Error copy() const;

  Code code() const;
  // "reading shard 2: piece 7 differs ...": contexts first, outermost leftmost.
  const std::string& message() const;
  // The file, URL or reference that is to blame, where one is.
  const std::optional<std::string>& file() const;
  // The byte in that file, where one is to blame.
  std::optional<std::uint64_t> offset() const;
  // What the reader of the message should do, as a sentence; empty if there is nothing to say.
  const std::string& hint() const;
  // How long the other side asked us to wait before trying again.
  std::optional<std::chrono::milliseconds> retry_after() const;

  // Builders, used once where the error is made: `return Error(...).in_file(path).at(offset);`
  Error&& in_file(std::string file) &&;
  Error&& at(std::uint64_t offset) &&;
  Error&& with_hint(std::string hint) &&;
  Error&& with_retry_after(std::chrono::milliseconds wait) &&;
  Error&& with_code(Code code) &&;
  // Puts what the caller was doing in front: "opening the seal: ...". Once per layer.
  Error&& context(std::string_view doing) &&;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace weighbridge::base
