#include "net/connection.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"

// Each connection drives its easy handle through a multi handle of its own: that is the way of
// libcurl to wait in a form that another thread can wake, so a stop request and a deadline end a
// transfer at once, also in the middle of connecting. The multi handle also owns the open
// connections, so that what one request leaves open the next one finds.

namespace weighbridge::net {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr long kReceiveBufferBytes = 256L * 1024;
constexpr long kKeepAliveIdleSeconds = 30;
constexpr long kKeepAliveProbeSeconds = 15;
constexpr std::chrono::milliseconds kLongestWait{60'000};

struct CloseEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

struct CloseMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

using HeaderList = std::unique_ptr<curl_slist, FreeList>;

bool append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) {
    return false;
  }
  static_cast<void>(list.release());  // now the head of `longer`
  list.reset(longer);
  return true;
}

// At least 1, so that silence is always too little.
std::uint64_t least_window_bytes(const HttpClientOptions& options) {
  const auto window_ms = static_cast<std::uint64_t>(options.stall_timeout.count());
  return std::max<std::uint64_t>(1, options.least_bytes_per_second * window_ms / 1000);
}

Error stalled(std::uint64_t bytes, std::chrono::milliseconds window) {
  std::string message = fmt::format("nothing arrived for {} ms", window.count());
  if (bytes > 0) {
    message = fmt::format("only {} bytes arrived in {} ms", bytes, window.count());
  }
  return {Code::kTimedOut, std::move(message)};
}

Code code_of(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return Code::kDenied;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:  // the answer was no HTTP/1
    case CURLE_BAD_CONTENT_ENCODING:
      return Code::kCorrupt;
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CACERT_BADFILE:
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

}  // namespace

// What the callbacks of one request share. A window of the stall limit opens with the connection
// and again whenever enough has arrived; if it passes before that, the request has stalled.
struct Connection::Progress {
  Answer& answer;
  const base::Clock& clock;
  const std::uint64_t least_bytes;  // that a window of the stall limit must bring
  bool connected = false;
  base::TimePoint window_begin;
  std::uint64_t window_bytes = 0;

  void open_window(base::TimePoint now) {
    window_begin = now;
    window_bytes = 0;
  }

  void count(std::size_t bytes) {
    window_bytes += bytes;
    if (window_bytes >= least_bytes) {
      open_window(clock.now());
    }
  }

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
    auto& progress = *static_cast<Progress*>(user);
    const std::string_view line(data, size * count);
    const bool go_on = progress.answer.on_header_line(line);
    progress.count(line.size());
    if (line.starts_with('\r') || line.starts_with('\n')) {
      progress.open_window(progress.clock.now());  // a short head was waited for, and is complete
    }
    return go_on ? line.size() : 0;
  }

  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
    auto& progress = *static_cast<Progress*>(user);
    const auto bytes = std::as_bytes(std::span(data, size * count));
    const base::TimePoint arrived = progress.clock.now();
    const bool go_on = progress.answer.on_body(bytes);
    progress.window_begin += progress.clock.now() - arrived;  // the sink's time, not the server's
    progress.count(bytes.size());
    return go_on ? bytes.size() : 0;
  }

  // Called when the connection stands, before the request is sent: until then only the connect
  // timeout counts.
  static int on_connected(void* user, char* /*to*/, char* /*from*/, int /*port*/, int /*port*/) {
    auto& progress = *static_cast<Progress*>(user);
    progress.connected = true;
    progress.open_window(progress.clock.now());
    return CURL_PREREQFUNC_OK;
  }
};

struct Connection::Handles {
  // In this order: the easy handle is cleaned up before the multi handle that it was part of.
  std::unique_ptr<CURLM, CloseMulti> multi;
  std::unique_ptr<CURL, CloseEasy> easy;
  std::array<char, CURL_ERROR_SIZE> message{};
  bool options_taken = true;

  template <typename Value>
  void set(CURLoption option, Value value) {
    options_taken = options_taken && curl_easy_setopt(easy.get(), option, value) == CURLE_OK;
  }

  // An easy handle with no option set yet.
  Result<void> renew_easy();
  void set_transport(const HttpClientOptions& options);
  void set_request(const Outgoing& request, curl_slist* headers);
  void set_callbacks(Progress& progress);
  Result<HeaderList> header_list(const Outgoing& request) const;
};

Result<void> Connection::Handles::renew_easy() {
  if (easy) {
    curl_easy_reset(easy.get());
  } else {
    easy.reset(curl_easy_init());
  }
  options_taken = true;
  if (!easy) {
    return Error(Code::kExhausted, "out of memory for a request");
  }
  return {};
}

void Connection::Handles::set_transport(const HttpClientOptions& options) {
  set(CURLOPT_NOSIGNAL, 1L);
  // A cancelled request does not wait for a name server that does not answer.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set(CURLOPT_TCP_KEEPINTVL, kKeepAliveProbeSeconds);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  // Our headers, among them the credentials, are for the server and not for the proxy.
  set(CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  if (!options.ca_file.empty()) {
    set(CURLOPT_CAINFO, options.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // that file is all that is trusted
  }
  if (!options.proxy.empty()) {
    set(CURLOPT_PROXY, options.proxy.c_str());
  }
  if (!options.no_proxy.empty()) {
    set(CURLOPT_NOPROXY, options.no_proxy.c_str());
  }
}

void Connection::Handles::set_request(const Outgoing& request, curl_slist* headers) {
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_HTTPHEADER, headers);
  if (!request.user.empty() || !request.password.empty()) {
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    set(CURLOPT_USERNAME, request.user.c_str());
    set(CURLOPT_PASSWORD, request.password.c_str());
  }
}

void Connection::Handles::set_callbacks(Progress& progress) {
  set(CURLOPT_HEADERFUNCTION, &Progress::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&progress));
  set(CURLOPT_WRITEFUNCTION, &Progress::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&progress));
  set(CURLOPT_PREREQFUNCTION, &Progress::on_connected);
  set(CURLOPT_PREREQDATA, static_cast<void*>(&progress));
  message.front() = '\0';
  set(CURLOPT_ERRORBUFFER, message.data());
}

Result<HeaderList> Connection::Handles::header_list(const Outgoing& request) const {
  HeaderList list;
  bool taken = append(list, "Accept-Encoding: identity") && append(list, "User-Agent: weighbridge");
  for (const HttpHeader& header : request.headers) {
    // libcurl's spelling of a header without a value ends in ';'.
    const std::string line =
        header.value.empty() ? header.name + ";" : header.name + ": " + header.value;
    taken = taken && append(list, line);
  }
  if (!taken) {
    return Error(Code::kExhausted, "out of memory for the headers of a request");
  }
  return list;
}

Connection::Connection(const HttpClientOptions& options, std::unique_ptr<Handles> handles)
    : options_(options), handles_(std::move(handles)) {}

Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::open(const HttpClientOptions& options) {
  auto handles = std::make_unique<Handles>();
  handles->multi.reset(curl_multi_init());
  if (!handles->multi) {
    return Error(Code::kExhausted, "out of memory for a connection");
  }
  return std::unique_ptr<Connection>(new Connection(options, std::move(handles)));
}

Result<void> Connection::perform(const base::Call& call, const Outgoing& request, Answer& answer) {
  TRY(call.check());
  Handles& handles = *handles_;
  const HeaderList headers = TRY(handles.header_list(request));
  Progress progress{answer, call.clock(), least_window_bytes(options_), false, {}, 0};
  TRY(handles.renew_easy());
  handles.set_transport(options_);
  handles.set_request(request, headers.get());
  handles.set_callbacks(progress);
  if (!handles.options_taken) {
    return Error(Code::kInternal, "libcurl refused an option");
  }
  CURLM* multi = handles.multi.get();
  if (curl_multi_add_handle(multi, handles.easy.get()) != CURLM_OK) {
    return Error(Code::kInternal, "libcurl refused a request");
  }
  Result<void> outcome;
  {
    const std::stop_callback wake(call.stop(), [multi] { curl_multi_wakeup(multi); });
    outcome = drive(call, progress);
  }
  curl_multi_remove_handle(multi, handles.easy.get());  // hangs up if it is not finished
  if (!outcome.ok()) {
    // After a failure libcurl may keep a buffer through a reset (7.88 does when a name cannot be
    // resolved), and then refuses to size it anew. The open connections are the multi handle's.
    handles.easy.reset();
  }
  return outcome;
}

Result<void> Connection::drive(const base::Call& call, const Progress& progress) {
  CURLM* multi = handles_->multi.get();
  for (;;) {
    int running = 0;
    if (curl_multi_perform(multi, &running) != CURLM_OK) {
      return Error(Code::kInternal, "libcurl lost track of a request");
    }
    if (running == 0) {
      break;
    }
    TRY(wait(call, progress));
  }
  int left = 0;
  const CURLMsg* done = curl_multi_info_read(multi, &left);
  WB_CHECK(done != nullptr && done->msg == CURLMSG_DONE, "a finished request without its result");
  if (done->data.result != CURLE_OK) {
    return failure(done->data.result);
  }
  return {};
}

// Until something arrives or happens.
Result<void> Connection::wait(const base::Call& call, const Progress& progress) {
  TRY(call.check());
  base::Duration longest = std::min<base::Duration>(kLongestWait, call.remaining());
  if (progress.connected) {
    const base::Duration open = call.clock().now() - progress.window_begin;
    if (open >= options_.stall_timeout) {
      return stalled(progress.window_bytes, options_.stall_timeout);
    }
    longest = std::min<base::Duration>(longest, options_.stall_timeout - open);
  }
  const auto wait_ms = std::chrono::ceil<std::chrono::milliseconds>(longest).count();
  if (curl_multi_poll(handles_->multi.get(), nullptr, 0, static_cast<int>(wait_ms), nullptr) !=
      CURLM_OK) {
    return Error(Code::kInternal, "libcurl could not wait");
  }
  return {};
}

Error Connection::failure(int curl_code) const {
  const auto code = static_cast<CURLcode>(curl_code);
  std::string message = curl_easy_strerror(code);
  // libcurl's own sentence is used only of TLS: elsewhere it may quote a proxy with its password.
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR) {
    const std::string_view detail = handles_->message.data();
    message = detail.empty() ? message : base::printable(detail);
  }
  long system_error = 0;
  curl_easy_getinfo(handles_->easy.get(), CURLINFO_OS_ERRNO, &system_error);
  if (code == CURLE_COULDNT_CONNECT && system_error != 0) {
    message += ": " + std::generic_category().message(static_cast<int>(system_error));
  }
  if (code == CURLE_SSL_CACERT_BADFILE) {
    message += fmt::format(" ({})", base::printable(options_.ca_file));
  }
  return Error(code_of(code), std::move(message)).with_hint(std::string(hint_of(code)));
}

}  // namespace weighbridge::net
