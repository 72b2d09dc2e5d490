#include "testing/http_server.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <list>
#include <map>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "sync/guarded.h"
#include "testing/http_reply.h"
#include "testing/http_wire.h"

namespace weighbridge::testing {
namespace {

constexpr std::size_t kRequestsKept = 100'000;

int listen_on_loopback(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // Accepted sockets inherit these. Their buffers are left to the kernel, which grows them past
  // what setsockopt() may ask for.
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  constexpr std::string_view kCongestion = "cubic";
  ::setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, kCongestion.data(), kCongestion.size());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  WB_CHECK(::bind(socket, generic, sizeof(address)) == 0, "the test server's port is taken");
  WB_CHECK(::listen(socket, SOMAXCONN) == 0, "the test server cannot listen");
  return socket;
}

int port_of(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

}  // namespace

// Thread-safe.
class HttpServer::Impl {
 public:
  Impl(Decide decide, int port) : listener_(listen_on_loopback(port)), port_(port_of(listener_)) {
    state_.with([&](State& state) { state.decide = std::make_shared<Decide>(std::move(decide)); });
    acceptor_ = std::jthread([this] { accept_all(); });
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ~Impl() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    open_.with([](std::map<std::uint64_t, int>& open) {
      for (const auto& [id, socket] : open) {
        ::shutdown(socket, SHUT_RDWR);
      }
    });
  }

  struct State {
    std::shared_ptr<const Decide> decide;
    std::shared_ptr<const Refuse> refuse;
    std::map<std::string, HttpObject, std::less<>> objects;
    std::string directory;
    std::map<std::string, HttpCounts, std::less<>> counts;
    HttpCounts total;
    std::deque<HttpRequest> requests;
  };

  // One connection's thread; `done` is its last act.
  struct Worker {
    std::atomic<bool> done = false;
    std::jthread thread;
  };

  sync::Guarded<State>& state() { return state_; }

  int port() const { return port_; }

  std::uint64_t connections() const { return connections_; }

  void release() { ++releases_; }

 private:
  void accept_all() {
    for (;;) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0 && (errno == EINTR || errno == ECONNABORTED)) {
        continue;
      }
      if (socket < 0) {
        return;
      }
      workers_.remove_if([](const Worker& worker) { return worker.done.load(); });
      const std::uint64_t id = connections_++;
      open_.with([&](auto& open) { open.emplace(id, socket); });
      Worker& worker = workers_.emplace_back();
      worker.thread = std::jthread([this, &worker, id, socket] {
        serve(id, socket);
        open_.with([&](auto& open) {
          open.erase(id);
          ::close(socket);  // under the lock, so that the number is not another's when shut down
        });
        worker.done = true;
      });
    }
  }

  void serve(std::uint64_t id, int socket) {
    HttpWire wire(socket, [this] { return stopping_.load(); });
    bool alive = true;
    while (alive) {
      const auto head = wire.read_head();
      auto request = head ? parse_request(*head) : std::nullopt;
      if (!request) {
        return;
      }
      request->connection = id;
      const auto refuse = state_.with([](const State& state) { return state.refuse; });
      const auto refusal = refuse ? (*refuse)(*request) : std::nullopt;
      if (refusal) {
        if (answer(wire, *request, *refusal)) {
          wire.drain();
        }
        return;
      }
      auto body = wire.read_body(*request);
      if (!body) {
        return;
      }
      request->body = std::move(*body);
      alive = answer(wire, *request) && base::to_lower(request->header("connection")) != "close";
    }
  }

  // As `instead` says, or as decided.
  bool answer(HttpWire& wire, HttpRequest& request, const std::optional<Fault>& instead = {}) {
    const auto decide = state_.with([&](State& state) {
      HttpCounts& counts = state.counts[request.path];
      request.index = state.total.requests++;
      request.path_index = counts.requests++;
      state.requests.push_back(request);
      if (state.requests.size() > kRequestsKept) {
        state.requests.pop_front();
      }
      return state.decide;
    });
    Fault fault = instead ? *instead : *decide ? (*decide)(request) : Fault{};
    const auto object = fault.object ? served(*fault.object) : find(request.path);
    const std::uint64_t releases_before = releases_;
    HttpReply::Hooks hooks;
    hooks.count_body = [&](std::uint64_t bytes) {
      state_.with([&](State& state) {
        state.counts[request.path].body_bytes += bytes;
        state.total.body_bytes += bytes;
      });
    };
    hooks.released = [this, releases_before] { return releases_ != releases_before; };
    return HttpReply(wire, request, fault, std::move(hooks)).send(object);
  }

  std::optional<ServedObject> find(const std::string& path) {
    const auto [object, directory] = state_.with([&](State& state) {
      const auto found = state.objects.find(path);
      return std::pair(found == state.objects.end() ? std::nullopt : std::optional(found->second),
                       state.directory);
    });
    if (object) {
      return served(*object);
    }
    return directory.empty() ? std::nullopt : served_file(directory, path);
  }

  const int listener_;
  const int port_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> releases_ = 0;
  std::atomic<std::uint64_t> connections_ = 0;
  sync::Guarded<State> state_;
  sync::Guarded<std::map<std::uint64_t, int>> open_;
  std::list<Worker> workers_;  // the acceptor's; joined last
  std::jthread acceptor_;
};

HttpServer::HttpServer(Decide decide, int port)
    : impl_(std::make_unique<Impl>(std::move(decide), port)) {}

HttpServer::~HttpServer() = default;

int HttpServer::port() const {
  return impl_->port();
}

std::string HttpServer::url(std::string_view path) const {
  return fmt::format("http://127.0.0.1:{}{}", port(), path);
}

void HttpServer::put(std::string path, HttpObject object) {
  impl_->state().with([&](Impl::State& state) {
    state.objects.insert_or_assign(std::move(path), std::move(object));
  });
}

void HttpServer::serve_directory(std::string directory) {
  impl_->state().with([&](Impl::State& state) { state.directory = std::move(directory); });
}

void HttpServer::set_decide(Decide decide) {
  impl_->state().with(
      [&](Impl::State& state) { state.decide = std::make_shared<Decide>(std::move(decide)); });
}

void HttpServer::set_refuse(Refuse refuse) {
  impl_->state().with([&](Impl::State& state) {
    state.refuse = refuse ? std::make_shared<Refuse>(std::move(refuse)) : nullptr;
  });
}

void HttpServer::release() {
  impl_->release();
}

HttpCounts HttpServer::counts(std::string_view path) const {
  return impl_->state().with([&](const Impl::State& state) {
    const auto found = state.counts.find(path);
    return found == state.counts.end() ? HttpCounts{} : found->second;
  });
}

HttpCounts HttpServer::counts() const {
  return impl_->state().with([](const Impl::State& state) { return state.total; });
}

std::vector<std::pair<std::string, HttpCounts>> HttpServer::counts_by_path() const {
  return impl_->state().with([](const Impl::State& state) {
    return std::vector<std::pair<std::string, HttpCounts>>(state.counts.begin(),
                                                           state.counts.end());
  });
}

std::uint64_t HttpServer::connections() const {
  return impl_->connections();
}

std::vector<HttpRequest> HttpServer::requests() const {
  return impl_->state().with([](const Impl::State& state) {
    return std::vector<HttpRequest>(state.requests.begin(), state.requests.end());
  });
}

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) {
      return value;
    }
  }
  return {};
}

std::chrono::steady_clock::time_point Throttle::reserve(std::uint64_t bytes) {
  constexpr std::chrono::milliseconds kBurst{20};
  const auto now = std::chrono::steady_clock::now();
  return next_.with([&](std::chrono::steady_clock::time_point& next) {
    next = std::max(next, now - kBurst) +
           std::chrono::nanoseconds(bytes * 1'000'000'000 / bytes_per_second_);
    return next;
  });
}

HttpObject make_object(std::string bytes, std::string etag) {
  return {std::make_shared<const std::string>(std::move(bytes)), std::move(etag), {}};
}

Fault redirect_to(std::string url, int status) {
  Fault fault;
  fault.status = status;
  fault.headers = {{"Location", std::move(url)}};
  return fault;
}

Fault answer_with(int status, std::string retry_after) {
  Fault fault;
  fault.status = status;
  fault.headers = {{"Retry-After", std::move(retry_after)}};
  return fault;
}

}  // namespace weighbridge::testing
