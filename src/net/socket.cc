#include "net/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>
#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"

// A connection is made by an easy handle with CURLOPT_CONNECT_ONLY in a multi handle of its own.
// The multi handle is the way of libcurl to wait in a form that another thread can wake, so a stop
// request and a deadline end the connecting at once; and it owns the connection, which is closed
// when the easy handle is removed from it. What then goes over the connection is ours: libcurl's
// own exchange would copy each byte of a body once more, in steps of 16 KiB.

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr long kKeepAliveIdleSeconds = 30;
constexpr long kKeepAliveProbeSeconds = 15;
constexpr std::chrono::milliseconds kLongestWait{60'000};
constexpr std::uint64_t kSendFileBytes = std::uint64_t{1} << 30;  // a call

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct CloseEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

struct CloseMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

int milliseconds_of(base::Duration longest) {
  const base::Duration bounded = std::clamp<base::Duration>(longest, {}, kLongestWait);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(bounded).count());
}

bool would_wait(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

Error broken(int error) {
  return {Code::kUnavailable, "the connection broke: " + std::generic_category().message(error)};
}

Code code_of(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return Code::kDenied;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return Code::kInvalid;
    case CURLE_OUT_OF_MEMORY:
      return Code::kExhausted;
    default:
      return Code::kUnavailable;
  }
}

std::string_view hint_of(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return "If the server's certificate comes from a CA of your own, name its PEM file in "
             "SSL_CERT_FILE or CURL_CA_BUNDLE.";
    case CURLE_SSL_CACERT_BADFILE:
      return "Check the PEM file that SSL_CERT_FILE or CURL_CA_BUNDLE names.";
    default:
      return {};
  }
}

// Keeps a broken connection from ending the process while it lives: sendfile() has no flag for
// that. The signal goes to the thread that wrote, so what is pending afterwards is ours.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }

  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

  ~WithoutSigpipe() {
    const int kept = errno;
    if (!was_pending_) {
      const timespec at_once{0, 0};
      while (sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = kept;
  }

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

}  // namespace

struct Socket::Handles {
  // In this order: the easy handle is cleaned up before the multi handle that it is part of.
  std::unique_ptr<CURLM, CloseMulti> multi;
  std::unique_ptr<CURL, CloseEasy> easy;
  std::unique_ptr<curl_slist, FreeList> resolve;  // libcurl borrows it
  std::array<char, CURL_ERROR_SIZE> message{};
  std::string ca_file;
  bool options_taken = true;
  int descriptor = -1;
  int waker = -1;  // an eventfd

  Handles() = default;
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  ~Handles() {
    if (easy && multi) {
      curl_multi_remove_handle(multi.get(), easy.get());  // hangs up
    }
    if (waker >= 0) {
      ::close(waker);
    }
  }

  template <typename Value>
  void set(CURLoption option, Value value) {
    options_taken = options_taken && curl_easy_setopt(easy.get(), option, value) == CURLE_OK;
  }

  Result<void> open();
  void set_options(const Destination& destination, const HttpClientOptions& options);
  void set_own_tls(const ServerTls& tls);
  void set_resolve(const std::vector<std::string>& entries);
  Result<void> drive(const base::Call& call);
  Error failure(CURLcode code) const;

  void wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(::write(waker, &one, sizeof(one)));
  }
};

Result<void> Socket::Handles::open() {
  multi.reset(curl_multi_init());
  easy.reset(curl_easy_init());
  if (!multi || !easy) {
    return Error(Code::kExhausted, "out of memory for a connection");
  }
  waker = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (waker < 0) {
    return Error(Code::kExhausted,
                 "no descriptor for a connection: " + std::generic_category().message(errno));
  }
  return {};
}

void Socket::Handles::set_options(const Destination& destination,
                                  const HttpClientOptions& options) {
  set(CURLOPT_CONNECT_ONLY, 1L);
  set(CURLOPT_URL, destination.url.c_str());
  set(CURLOPT_NOSIGNAL, 1L);
  // A cancelled request does not wait for a name server that does not answer.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set(CURLOPT_TCP_KEEPINTVL, kKeepAliveProbeSeconds);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_USERAGENT, "weighbridge");  // for a proxy's CONNECT
  if (!options.ca_file.empty()) {
    set(CURLOPT_CAINFO, options.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // that file is all that is trusted
  }
  if (!destination.origin.empty() && destination.origin == options.own_server.origin) {
    set_own_tls(options.own_server);
  }
  set_resolve(options.resolve);
  // Both are said, so that libcurl does not ask the environment: the choice has been made.
  set(CURLOPT_PROXY, destination.proxy.c_str());
  set(CURLOPT_NOPROXY, "");
  set(CURLOPT_ERRORBUFFER, message.data());
  ca_file = options.ca_file;
}

void Socket::Handles::set_own_tls(const ServerTls& tls) {
  if (tls.insecure) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!tls.client_cert_file.empty()) {
    const std::string& key =
        tls.client_key_file.empty() ? tls.client_cert_file : tls.client_key_file;
    set(CURLOPT_SSLCERT, tls.client_cert_file.c_str());
    set(CURLOPT_SSLKEY, key.c_str());
  }
}

void Socket::Handles::set_resolve(const std::vector<std::string>& entries) {
  for (const std::string& entry : entries) {
    curl_slist* const longer = curl_slist_append(resolve.get(), entry.c_str());
    options_taken = options_taken && longer != nullptr;
    if (longer != nullptr) {
      static_cast<void>(resolve.release());
      resolve.reset(longer);
    }
  }
  if (resolve) {
    set(CURLOPT_RESOLVE, resolve.get());
  }
}

Result<void> Socket::Handles::drive(const base::Call& call) {
  for (;;) {
    int running = 0;
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK) {
      return Error(Code::kInternal, "libcurl lost track of a connection");
    }
    if (running == 0) {
      break;
    }
    TRY(call.check());
    curl_waitfd also{waker, CURL_WAIT_POLLIN, 0};
    const int wait_ms = milliseconds_of(call.remaining());
    if (curl_multi_poll(multi.get(), &also, 1, wait_ms, nullptr) != CURLM_OK) {
      return Error(Code::kInternal, "libcurl could not wait");
    }
  }
  int left = 0;
  const CURLMsg* done = curl_multi_info_read(multi.get(), &left);
  WB_CHECK(done != nullptr && done->msg == CURLMSG_DONE, "a connection without its result");
  if (done->data.result != CURLE_OK) {
    return failure(done->data.result);
  }
  curl_socket_t active = CURL_SOCKET_BAD;
  if (curl_easy_getinfo(easy.get(), CURLINFO_ACTIVESOCKET, &active) != CURLE_OK ||
      active == CURL_SOCKET_BAD) {
    return Error(Code::kUnavailable, "the connection was closed early");
  }
  descriptor = active;
  return {};
}

Error Socket::Handles::failure(CURLcode code) const {
  std::string text = curl_easy_strerror(code);
  // libcurl's own sentence is used only of TLS: elsewhere it may quote a proxy with its password.
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR) {
    const std::string_view detail = message.data();
    text = detail.empty() ? text : base::printable(detail);
  }
  long system_error = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_OS_ERRNO, &system_error);
  if (code == CURLE_COULDNT_CONNECT && system_error != 0) {
    text += ": " + std::generic_category().message(static_cast<int>(system_error));
  }
  if (code == CURLE_SSL_CACERT_BADFILE) {
    text += fmt::format(" ({})", base::printable(ca_file));
  }
  return Error(code_of(code), std::move(text)).with_hint(std::string(hint_of(code)));
}

Socket::Socket(std::unique_ptr<Handles> handles, bool raw)
    : handles_(std::move(handles)), raw_(raw) {}

Socket::~Socket() = default;

Result<std::unique_ptr<Socket>> Socket::connect(const base::Call& call,
                                                const Destination& destination,
                                                const HttpClientOptions& options) {
  TRY(call.check());
  auto handles = std::make_unique<Handles>();
  TRY(handles->open());
  handles->set_options(destination, options);
  if (!handles->options_taken ||
      curl_multi_add_handle(handles->multi.get(), handles->easy.get()) != CURLM_OK) {
    return Error(Code::kInternal, "libcurl refused an option");
  }
  {
    const std::stop_callback wake(call.stop(), [&] { handles->wake(); });
    TRY(handles->drive(call));
  }
  return std::unique_ptr<Socket>(new Socket(std::move(handles), destination.raw));
}

Result<std::optional<std::size_t>> Socket::try_receive(std::span<std::byte> into) {
  using Received = std::optional<std::size_t>;
  if (raw_) {
    const ssize_t count = ::recv(handles_->descriptor, into.data(), into.size(), MSG_DONTWAIT);
    if (count < 0) {
      return would_wait(errno) ? Result<Received>(Received()) : broken(errno);
    }
    return Received(static_cast<std::size_t>(count));
  }
  std::size_t count = 0;
  const CURLcode code = curl_easy_recv(handles_->easy.get(), into.data(), into.size(), &count);
  if (code != CURLE_OK) {
    return code == CURLE_AGAIN ? Result<Received>(Received()) : handles_->failure(code);
  }
  return Received(count);
}

Result<std::optional<std::size_t>> Socket::try_send(std::span<const std::byte> bytes) {
  using Sent = std::optional<std::size_t>;
  if (raw_) {
    const ssize_t count =
        ::send(handles_->descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      return would_wait(errno) ? Result<Sent>(Sent()) : broken(errno);
    }
    return Sent(static_cast<std::size_t>(count));
  }
  std::size_t count = 0;
  const CURLcode code = curl_easy_send(handles_->easy.get(), bytes.data(), bytes.size(), &count);
  if (code != CURLE_OK) {
    return code == CURLE_AGAIN ? Result<Sent>(Sent()) : handles_->failure(code);
  }
  return Sent(count);
}

Result<std::optional<std::size_t>> Socket::try_send_file(const base::FilePart& part) {
  using Sent = std::optional<std::size_t>;
  WB_CHECK(raw_, "a file sent past the encryption");
  const WithoutSigpipe guard;
  auto offset = static_cast<off_t>(part.offset);
  const ssize_t count = ::sendfile(
      handles_->descriptor, part.descriptor, &offset, std::min(part.bytes, kSendFileBytes));
  if (count < 0) {
    const bool of_connection = errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT;
    if (would_wait(errno)) {
      return Sent();
    }
    return of_connection ? broken(errno)
                         : Error(Code::kIo,
                                 "cannot read the file that is being sent: " +
                                     std::generic_category().message(errno));
  }
  if (count == 0) {
    return Error(Code::kIo, "the file that is being sent ends early");
  }
  return Sent(static_cast<std::size_t>(count));
}

void Socket::wait(bool to_send, base::Duration longest) {
  const short events = to_send ? POLLIN | POLLOUT : POLLIN;
  std::array<pollfd, 2> watched = {
      {{handles_->descriptor, events, 0}, {handles_->waker, POLLIN, 0}}};
  ::poll(watched.data(), watched.size(), milliseconds_of(longest));
}

void Socket::wake() {
  handles_->wake();
}

void Socket::forget_wake() {
  std::uint64_t count = 0;
  static_cast<void>(::read(handles_->waker, &count, sizeof(count)));
}

bool Socket::is_quiet() const {
  char byte = 0;
  const ssize_t count = ::recv(handles_->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && would_wait(errno);
}

}  // namespace weighbridge::net
