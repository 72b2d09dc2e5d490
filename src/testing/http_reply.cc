#include "testing/http_reply.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::testing {
namespace {

constexpr std::uint64_t kSliceBytes = 1024 * 1024;
constexpr std::uint64_t kSlicesPerSecond = 50;  // of a throttled body
constexpr std::uint64_t kSharedSliceBytes = 256 * 1024;

std::string http_date(std::time_t time) {
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text.data(), size);
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    std::byte byte{};
    if (text[0] == '%' && text.size() > 2 && base::from_hex(text.substr(1, 2), {&byte, 1})) {
      decoded += std::to_integer<char>(byte);
      text.remove_prefix(3);
      continue;
    }
    decoded += text[0];
    text.remove_prefix(1);
  }
  return decoded;
}

// Replaces the header of that name, adds it, or with an empty value removes it.
void put_header(Headers& headers, const std::string& name, const std::string& value) {
  std::erase_if(headers, [&](const auto& header) {
    return base::to_lower(header.first) == base::to_lower(name);
  });
  if (!value.empty()) {
    headers.emplace_back(name, value);
  }
}

}  // namespace

ServedObject served(const HttpObject& object) {
  return {object.bytes, *object.bytes, object.etag, object.last_modified};
}

std::optional<ServedObject> served_file(const std::string& directory, std::string_view path) {
  const std::string name = directory + percent_decoded(path);
  const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return std::nullopt;
  }

  struct stat info {};

  const bool regular = ::fstat(file, &info) == 0 && S_ISREG(info.st_mode);
  const auto size = static_cast<std::size_t>(regular ? info.st_size : 0);
  void* mapped = size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (!regular || mapped == MAP_FAILED) {
    return std::nullopt;
  }
  ServedObject object;
  object.owner = std::shared_ptr<const void>(mapped, [size](void* bytes) {
    if (bytes != nullptr) {
      ::munmap(bytes, size);
    }
  });
  object.bytes = {static_cast<const char*>(mapped), size};
  object.etag = fmt::format("\"{:x}-{:x}.{:x}\"", size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  object.last_modified = http_date(info.st_mtim.tv_sec);
  return object;
}

bool HttpReply::send(const std::optional<ServedObject>& object) {
  if (fault_.hang_up) {
    return false;
  }
  choose(object);
  next_send_ = std::chrono::steady_clock::now();
  if (!wire_.send(head())) {
    return false;
  }
  if (request_.method == "HEAD" || status_ == 204 || status_ == 304) {
    return true;
  }
  return send_body();
}

// Decides upon status, headers and body as an honest server would, then lets the fault speak.
void HttpReply::choose(const std::optional<ServedObject>& object) {
  const bool known =
      object && (request_.method == "GET" || request_.method == "HEAD" || fault_.object);
  if (known) {
    body_ = object->bytes;
    headers_ = {{"ETag", object->etag}, {"Last-Modified", object->last_modified}};
    std::erase_if(headers_, [](const auto& header) { return header.second.empty(); });
  }
  status_ = known ? 200 : (object ? 405 : 404);
  const bool ranged = known && request_.range && !fault_.ignore_range && fault_.status == 0;
  const std::uint64_t size = body_.size();
  if (ranged && request_.range->begin >= size) {
    status_ = 416;
    headers_ = {{"Content-Range", fmt::format("bytes */{}", size)}};
  } else if (ranged) {
    status_ = 206;
    first_ = request_.range->begin;
    const std::uint64_t end = std::min<std::uint64_t>(request_.range->end, size);
    body_ = body_.substr(first_, end - first_);
    headers_.emplace_back("Content-Range", fmt::format("bytes {}-{}/{}", first_, end - 1, size));
  }
  if (fault_.status != 0) {
    status_ = fault_.status;
  }
  if ((status_ != 200 && status_ != 206) && !fault_.object) {
    text_ = fmt::format("status {}\n", status_);
    body_ = text_;
  }
  if (!fault_.ignore_range) {
    put_header(headers_, "Accept-Ranges", "bytes");
  }
  if (fault_.framing == Framing::kLength) {
    put_header(headers_, "Content-Length", std::to_string(body_.size()));
  } else if (fault_.framing == Framing::kChunked) {
    put_header(headers_, "Transfer-Encoding", "chunked");
  } else {
    put_header(headers_, "Connection", "close");
  }
  for (const auto& [name, value] : fault_.headers) {
    put_header(headers_, name, value);
  }
}

std::string HttpReply::head() const {
  std::string head = fmt::format("HTTP/1.1 {} Status\r\n", status_);
  for (const auto& [name, value] : headers_) {
    head += fmt::format("{}: {}\r\n", name, value);
  }
  return head + "\r\n";
}

bool HttpReply::send_body() {
  const std::uint64_t end = body_.size() + fault_.append.size();
  std::uint64_t position = 0;
  for (;;) {
    if (const auto ended = pass(position)) {
      return *ended;
    }
    if (position == end) {
      break;
    }
    const std::uint64_t next = slice_end(position, end);
    if (!send_slice(position, next)) {
      return false;
    }
    position = next;
  }
  if (fault_.framing == Framing::kChunked) {
    return wire_.send("0\r\n\r\n");
  }
  return fault_.framing == Framing::kLength && fault_.append.empty();
}

// What the fault has in store at this point of the body.
std::optional<bool> HttpReply::pass(std::uint64_t position) {
  if (fault_.stall_after == position && !stall()) {
    return false;
  }
  if (fault_.cut_after == position) {
    if (!fault_.cut_cleanly) {
      wire_.prepare_reset();
    }
    return false;
  }
  if (fault_.stop_after == position) {
    return fault_.framing == Framing::kChunked && wire_.send("0\r\n\r\n");
  }
  return std::nullopt;
}

bool HttpReply::stall() {
  const auto now = std::chrono::steady_clock::now();
  const auto until =
      fault_.stall_for ? now + *fault_.stall_for : std::chrono::steady_clock::time_point::max();
  return wire_.wait(hooks_.released, until);
}

std::uint64_t HttpReply::slice_end(std::uint64_t position, std::uint64_t end) const {
  std::uint64_t slice = fault_.throttles.empty() ? kSliceBytes : kSharedSliceBytes;
  if (fault_.bytes_per_second != 0) {
    slice = std::max<std::uint64_t>(1, fault_.bytes_per_second / kSlicesPerSecond);
  }
  std::uint64_t next = std::min(end, position + slice);
  if (position < body_.size()) {
    next = std::min<std::uint64_t>(next, body_.size());
  }
  for (const auto& stop : {fault_.stall_after, fault_.cut_after, fault_.stop_after}) {
    if (stop && *stop > position) {
      next = std::min(next, *stop);
    }
  }
  return next;
}

bool HttpReply::send_slice(std::uint64_t begin, std::uint64_t end) {
  for (const auto& throttle : fault_.throttles) {
    next_send_ = std::max(next_send_, throttle->reserve(end - begin));
  }
  if (!wire_.wait([] { return false; }, next_send_)) {
    return false;
  }
  if (end == body_.size() + fault_.append.size()) {
    fault_.until_sent.reset();
  }
  if (fault_.bytes_per_second != 0) {
    next_send_ += std::chrono::nanoseconds((end - begin) * 1'000'000'000 / fault_.bytes_per_second);
  }
  const std::string_view honest =
      begin < body_.size()
          ? body_.substr(begin, end - begin)
          : std::string_view(fault_.append).substr(begin - body_.size(), end - begin);
  std::string damaged;
  for (const auto& [offset, mask] : fault_.flip_bits) {
    if (begin < body_.size() && offset >= first_ + begin && offset < first_ + end) {
      damaged = damaged.empty() ? std::string(honest) : damaged;
      char& byte = damaged[offset - first_ - begin];
      byte = static_cast<char>(static_cast<unsigned char>(byte) ^ mask);
    }
  }
  const bool chunked = fault_.framing == Framing::kChunked;
  // Counted first: who has received a whole body finds all of it counted.
  hooks_.count_body(honest.size());
  return (!chunked || wire_.send(fmt::format("{:x}\r\n", honest.size()))) &&
         wire_.send(damaged.empty() ? honest : std::string_view(damaged)) &&
         (!chunked || wire_.send("\r\n"));
}

}  // namespace weighbridge::testing
