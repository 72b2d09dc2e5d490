#include "base/error.h"

#include <array>
#include <cerrno>
#include <cstddef>

namespace weighbridge::base {
namespace {

constexpr std::array<CodeFacts, 14> kFacts = {{
    // code, name, retry, HTTP, errno, exit
    {Code::kInvalid, "invalid", false, 400, EINVAL, 2},
    {Code::kCorrupt, "corrupt", false, 502, EBADMSG, 3},
    {Code::kNotFound, "not_found", false, 404, ENOENT, 4},
    {Code::kExists, "exists", false, 409, EEXIST, 5},
    {Code::kDenied, "denied", false, 403, EACCES, 6},
    {Code::kUnsupported, "unsupported", false, 501, ENOTSUP, 7},
    {Code::kExhausted, "exhausted", false, 507, ENOSPC, 8},
    {Code::kBusy, "busy", true, 429, EBUSY, 9},
    {Code::kUnavailable, "unavailable", true, 503, ECONNRESET, 10},
    {Code::kTimedOut, "timed_out", true, 504, ETIMEDOUT, 11},
    {Code::kCancelled, "cancelled", false, 499, ECANCELED, 130},
    {Code::kIo, "io", false, 500, EIO, 12},
    {Code::kConflict, "conflict", false, 412, ESTALE, 13},
    {Code::kInternal, "internal", false, 500, ENOTRECOVERABLE, 70},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kFacts.size(); ++i) {
    if (static_cast<std::size_t>(kFacts[i].code) != i) {
      return false;
    }
  }
  return true;
}

static_assert(in_order(), "the table is indexed by the enumerator");

}  // namespace

const CodeFacts& facts(Code code) {
  return kFacts[static_cast<std::size_t>(code)];
}

std::span<const CodeFacts> all_facts() {
  return kFacts;
}

struct Error::Rep {
  Code code;
  std::string message;
  std::optional<std::string> file;
  std::optional<std::uint64_t> offset;
  std::string hint;
  std::optional<std::chrono::milliseconds> retry_after;
};

Error::Error(Code code, std::string message)
    : rep_(std::make_unique<Rep>(Rep{code, std::move(message), {}, {}, {}, {}})) {}

Error::Error(Error&&) noexcept = default;
Error& Error::operator=(Error&&) noexcept = default;
Error::~Error() = default;

Error Error::copy() const {
  Error other(rep_->code, {});
  *other.rep_ = *rep_;
  return other;
}

Code Error::code() const {
  return rep_->code;
}

const std::string& Error::message() const {
  return rep_->message;
}

const std::optional<std::string>& Error::file() const {
  return rep_->file;
}

std::optional<std::uint64_t> Error::offset() const {
  return rep_->offset;
}

const std::string& Error::hint() const {
  return rep_->hint;
}

std::optional<std::chrono::milliseconds> Error::retry_after() const {
  return rep_->retry_after;
}

Error&& Error::in_file(std::string file) && {
  rep_->file = std::move(file);
  return std::move(*this);
}

Error&& Error::at(std::uint64_t offset) && {
  rep_->offset = offset;
  return std::move(*this);
}

Error&& Error::with_hint(std::string hint) && {
  rep_->hint = std::move(hint);
  return std::move(*this);
}

Error&& Error::with_retry_after(std::chrono::milliseconds wait) && {
  rep_->retry_after = wait;
  return std::move(*this);
}

Error&& Error::with_code(Code code) && {
  rep_->code = code;
  return std::move(*this);
}

Error&& Error::context(std::string_view doing) && {
  rep_->message.insert(0, std::string(doing) + ": ");
  return std::move(*this);
}

}  // namespace weighbridge::base
