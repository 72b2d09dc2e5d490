#include "net/connection.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_fields.h"

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kIdleConnectionsLimit = 64;
// How much is sent between two looks for an early answer.
constexpr std::size_t kSendBytes = std::size_t{512} * 1024;
constexpr std::size_t kCopiedBytes = std::size_t{128} * 1024;

bool has_header(const Outgoing& request, std::string_view name) {
  return std::any_of(request.headers.begin(), request.headers.end(), [&](const HttpHeader& header) {
    return base::to_lower(header.name) == name;
  });
}

// A request that was sent twice has done what it does once (RFC 9110, 9.2.2).
bool is_idempotent(std::string_view method) {
  return method != "POST" && method != "PATCH";
}

Exchanged exchange(const base::Call& call,
                   const HttpClientOptions& options,
                   Socket& socket,
                   const Outgoing& request,
                   const std::string& head,
                   Answer& answer) {
  Wire wire(call, options, socket);
  AnswerReader reader(wire, answer);
  BodySender sender(call, socket, wire, reader);
  Exchanged done;
  auto sent = sender.send_head(head);
  const bool head_sent = sent.ok();
  if (head_sent && request.body != nullptr) {
    sent = sender.send(*request.body);
  }
  done.source_failed = sender.source_failed();
  // Who breaks off while we send has often said why.
  const bool listens = sent.ok() || (sent.error().code() == Code::kUnavailable && head_sent);
  if (listens && !done.source_failed) {
    auto received = reader.read();
    done.transport = !received.ok() && !sent.ok() && !answer.head_complete() ? std::move(sent)
                                                                             : std::move(received);
  } else {
    done.transport = std::move(sent);
  }
  const bool broke = !done.transport.ok() && done.transport.error().code() == Code::kUnavailable;
  const bool body_begun = request.body != nullptr && request.body->size_bytes() > 0 && head_sent;
  done.stale = broke && !reader.touched() && !body_begun && !done.source_failed;
  done.reusable = done.transport.ok() && reader.reusable() && sender.complete();
  return done;
}

}  // namespace

std::string request_head(const Outgoing& request, const std::optional<Proxy>& proxy) {
  const Url& url = request.url;
  const bool forwarded = proxy && proxy->forwards && !url.tls;
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n",
                                 request.method,
                                 forwarded ? url.text : url.target,
                                 url.authority);
  const auto add = [&](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  if ((!url.user.empty() || !url.password.empty()) && !has_header(request, "authorization")) {
    add("Authorization", "Basic " + basic_credentials(url.user, url.password));
  }
  if (forwarded && !proxy->authorization.empty()) {
    add("Proxy-Authorization", proxy->authorization);
  }
  add("Accept-Encoding", "identity");
  if (!has_header(request, "accept")) {
    add("Accept", "*/*");
  }
  if (!has_header(request, "user-agent")) {
    add("User-Agent", "weighbridge");
  }
  for (const HttpHeader& header : request.headers) {
    add(header.name, header.value);
  }
  const bool says_length = request.body != nullptr || request.method == "POST" ||
                           request.method == "PUT" || request.method == "PATCH";
  if (says_length) {
    const std::uint64_t bytes = request.body == nullptr ? 0 : request.body->size_bytes();
    add("Content-Length", std::to_string(bytes));
  }
  return head + "\r\n";
}

Result<void> BodySender::send_head(std::string_view head) {
  return send_memory(std::as_bytes(std::span(head)));
}

Result<void> BodySender::send(base::BodySource& body) {
  std::uint64_t left = body.size_bytes();
  while (left > 0 && complete_) {
    auto part = body.next(call_);
    if (!part.ok()) {
      source_failed_ = true;
      return std::move(part).error();
    }
    const auto* file = std::get_if<base::FilePart>(&*part);
    const std::uint64_t bytes =
        file != nullptr ? file->bytes : std::get<std::span<const std::byte>>(*part).size();
    if (bytes == 0 || bytes > left) {
      source_failed_ = true;
      return Error(Code::kInternal, "a body of another length than it said");
    }
    TRY(send_part(*part));
    left -= bytes;
  }
  return {};
}

Result<void> BodySender::send_part(const base::BodyPart& part) {
  const auto* file = std::get_if<base::FilePart>(&part);
  if (file == nullptr) {
    return send_memory(std::get<std::span<const std::byte>>(part));
  }
  return socket_.is_raw() ? send_file(*file) : send_copied(*file);
}

Result<void> BodySender::send_memory(std::span<const std::byte> bytes) {
  while (!bytes.empty() && !TRY(answered())) {
    bytes = bytes.subspan(TRY(wire_.send(bytes.first(std::min(bytes.size(), kSendBytes)))));
  }
  return {};
}

Result<void> BodySender::send_file(base::FilePart file) {
  while (file.bytes > 0 && !TRY(answered())) {
    base::FilePart some = file;
    some.bytes = std::min<std::uint64_t>(file.bytes, kSendBytes);
    auto sent = wire_.send(some);
    source_failed_ = !sent.ok() && sent.error().code() == Code::kIo;
    const std::size_t bytes = TRY(std::move(sent));
    file.offset += bytes;
    file.bytes -= bytes;
  }
  return {};
}

Result<void> BodySender::send_copied(base::FilePart file) {
  copied_.resize(kCopiedBytes);
  while (file.bytes > 0 && complete_) {
    const ssize_t count = ::pread(file.descriptor,
                                  copied_.data(),
                                  std::min<std::uint64_t>(file.bytes, copied_.size()),
                                  static_cast<off_t>(file.offset));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      source_failed_ = true;
      return Error(Code::kIo,
                   count == 0 ? "the file that is being sent ends early"
                              : "cannot read the file that is being sent: " +
                                    std::generic_category().message(errno));
    }
    const auto bytes = static_cast<std::size_t>(count);
    TRY(send_memory(std::span(copied_).first(bytes)));
    file.offset += bytes;
    file.bytes -= bytes;
  }
  return {};
}

// Has the answer begun before all was sent? Then the rest will not be.
Result<bool> BodySender::answered() {
  reader_.add(TRY(wire_.receive_arrived(reader_.space())));
  complete_ = !reader_.has_begun();
  return !complete_;
}

Exchanged ConnectionPool::perform(const base::Call& call, const Outgoing& request, Answer& answer) {
  auto chosen = proxies_.choose(request.url);
  if (!chosen.ok()) {
    return {std::move(chosen).error()};
  }
  const std::optional<Proxy> proxy = std::move(chosen).value();
  const bool forwarded = proxy && proxy->forwards && !request.url.tls;
  Destination to;
  to.url = request.url.text;
  to.origin = request.url.origin;
  to.proxy = proxy ? proxy->text : std::string();
  to.raw = !request.url.tls && !(proxy && proxy->tls);
  // A proxy that forwards takes requests for every server over one connection.
  const std::string key = forwarded ? "by " + to.proxy : request.url.origin;
  const std::string head = request_head(request, proxy);
  if (auto socket = take(key)) {
    Exchanged done = exchange(call, options_, *socket, request, head, answer);
    if (done.reusable) {
      put_back(key, std::move(socket));
    }
    if (!done.stale || !is_idempotent(request.method)) {
      return done;
    }
  }
  auto socket = Socket::connect(call, to, options_);
  if (!socket.ok()) {
    return {std::move(socket).error()};
  }
  Exchanged done = exchange(call, options_, **socket, request, head, answer);
  if (done.reusable) {
    put_back(key, std::move(socket).value());
  }
  return done;
}

std::unique_ptr<Socket> ConnectionPool::take(const std::string& key) {
  for (;;) {
    auto socket = idle_.with([&](std::vector<Idle>& idle) -> std::unique_ptr<Socket> {
      const auto last =
          std::find_if(idle.rbegin(), idle.rend(), [&](const Idle& one) { return one.key == key; });
      if (last == idle.rend()) {
        return nullptr;
      }
      auto found = std::move(last->socket);
      idle.erase(std::next(last).base());
      return found;
    });
    if (!socket || socket->is_quiet()) {
      return socket;
    }
  }
}

void ConnectionPool::put_back(const std::string& key, std::unique_ptr<Socket> socket) {
  std::vector<Idle> closed;  // outside the lock
  idle_.with([&](std::vector<Idle>& idle) {
    idle.push_back({key, std::move(socket)});
    if (idle.size() > kIdleConnectionsLimit) {
      closed.push_back(std::move(idle.front()));
      idle.erase(idle.begin());
    }
  });
}

}  // namespace weighbridge::net
