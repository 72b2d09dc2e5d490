// The least that a load has to do, as programs of a few lines: what tools/bench holds us to.
//
//   reference_bench MODE THREADS BYTES TARGET [fresh]
//
//   libcurl       receive TARGET (a URL) with a buffer of 512 KiB, copy it to its place, hash it
//   recv          the same by recv() straight to its place
//   pread         read TARGET (a file) to its place, not hashed
//   blake3        hash what stands in memory
//
// Each of THREADS takes one stretch of the file. Bytes are hashed with BLAKE3 while they are in the
// cache. The memory has huge pages, and is resident unless `fresh` stands behind.

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <blake3.h>
#include <curl/curl.h>
#include <fmt/format.h>

#include "base/range.h"
#include "base/units.h"
#include "turns.h"

namespace weighbridge::bench {
namespace {

using Bytes = std::span<std::byte>;

// BLAKE3 over a stretch of memory that fills from its beginning. Confined to one thread.
class HashBehind {
 public:
  explicit HashBehind(Bytes stretch) : stretch_(stretch) { blake3_hasher_init(&hasher_); }

  Bytes free() const { return stretch_.subspan(filled_); }

  void filled(std::size_t bytes) {
    filled_ += bytes;
    if (filled_ - hashed_ >= kStepBytes || filled_ == stretch_.size()) {
      blake3_hasher_update(&hasher_, stretch_.data() + hashed_, filled_ - hashed_);
      hashed_ = filled_;
    }
  }

  // Used by the caller, so that nothing is optimised away.
  unsigned finish() {
    std::array<std::uint8_t, BLAKE3_OUT_LEN> digest{};
    blake3_hasher_finalize(&hasher_, digest.data(), digest.size());
    return digest[0];
  }

 private:
  // Enough for all lanes of the widest vectors, few enough to be still in the cache.
  static constexpr std::size_t kStepBytes = 128 * base::kKiB;

  const Bytes stretch_;
  blake3_hasher hasher_{};
  std::size_t filled_ = 0;
  std::size_t hashed_ = 0;
};

// One thread's work: fill (or hash) its stretch, which is bytes [begin, begin + size) of the file.
// A worker lives as long as the program, and so does its connection.
using Worker = std::function<unsigned(Bytes stretch, std::uint64_t begin)>;

std::size_t take(char* data, std::size_t size, std::size_t count, void* into) {
  HashBehind& hash = *static_cast<HashBehind*>(into);
  const std::size_t bytes = size * count;
  if (bytes > hash.free().size()) {
    return 0;
  }
  std::memcpy(hash.free().data(), data, bytes);
  hash.filled(bytes);
  return bytes;
}

Worker by_libcurl(const std::string& url) {
  const std::shared_ptr<CURL> easy(curl_easy_init(), &curl_easy_cleanup);
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_BUFFERSIZE, 512L * 1024);
  curl_easy_setopt(easy.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, &take);
  return [easy, url](Bytes stretch, std::uint64_t begin) {
    HashBehind hash(stretch);
    const std::string range = fmt::format("{}-{}", begin, begin + stretch.size() - 1);
    curl_easy_setopt(easy.get(), CURLOPT_RANGE, range.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &hash);
    if (curl_easy_perform(easy.get()) != CURLE_OK || !hash.free().empty()) {
      fail("cannot fetch " + url);
    }
    return hash.finish();
  };
}

// "http://1.2.3.4:PORT/PATH": all that this harness serves.
struct Url {
  std::string host;
  std::uint16_t port = 0;
  std::string path;
};

Url parse_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const std::size_t slash = url.find('/', kScheme.size());
  const std::size_t colon = url.find(':', kScheme.size());
  if (!url.starts_with(kScheme) || slash == std::string_view::npos || colon > slash) {
    fail("expected http://ADDRESS:PORT/PATH");
  }
  return {std::string(url.substr(kScheme.size(), colon - kScheme.size())),
          static_cast<std::uint16_t>(number(url.substr(colon + 1, slash - colon - 1))),
          std::string(url.substr(slash))};
}

// A file or a socket. Confined to one thread.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {
    if (number < 0) {
      fail("cannot open what is to be read");
    }
  }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  ~Descriptor() { ::close(number_); }

  int number() const { return number_; }

 private:
  const int number_;
};

std::shared_ptr<Descriptor> connect_to(const Url& url) {
  const auto socket =
      std::make_shared<Descriptor>(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(url.port);
  if (::inet_pton(AF_INET, url.host.c_str(), &address.sin_addr) != 1 ||
      ::connect(socket->number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
          0) {
    fail("cannot connect to " + url.host);
  }
  return socket;
}

std::size_t receive(const Descriptor& socket, void* into, std::size_t bytes) {
  const ssize_t got = ::recv(socket.number(), into, bytes, 0);
  if (got <= 0) {
    fail("the server broke off");
  }
  return static_cast<std::size_t>(got);
}

// Reads the head of a 206; the bytes of the body that came with it go to their place.
void receive_head(const Descriptor& socket, HashBehind& hash) {
  std::string head(4096, '\0');
  std::size_t length = 0;
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    if (length == head.size()) {
      fail("the answer's head is too long");
    }
    length += receive(socket, head.data() + length, head.size() - length);
    end = std::string_view(head.data(), length).find("\r\n\r\n");
  }
  if (!head.starts_with("HTTP/1.1 206 ")) {
    fail("expected 206");
  }
  const std::size_t body = length - end - 4;
  std::memcpy(hash.free().data(), head.data() + end + 4, body);
  hash.filled(body);
}

Worker by_recv(const std::string& text) {
  const Url url = parse_url(text);
  const auto socket = connect_to(url);
  return [url, socket](Bytes stretch, std::uint64_t begin) {
    const std::string request =
        fmt::format("GET {} HTTP/1.1\r\nHost: {}:{}\r\nRange: bytes={}-{}\r\n\r\n",
                    url.path,
                    url.host,
                    url.port,
                    begin,
                    begin + stretch.size() - 1);
    if (::send(socket->number(), request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      fail("cannot send");
    }
    HashBehind hash(stretch);
    receive_head(*socket, hash);
    while (!hash.free().empty()) {
      constexpr std::size_t kMost = 256 * base::kKiB;
      const Bytes into = hash.free().first(std::min(kMost, hash.free().size()));
      hash.filled(receive(*socket, into.data(), into.size()));
    }
    return hash.finish();
  };
}

Worker by_pread(const std::string& path) {
  const auto file = std::make_shared<Descriptor>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return [file, path](Bytes stretch, std::uint64_t begin) {
    constexpr std::size_t kMost = 8 * base::kMiB;
    for (std::size_t done = 0; done < stretch.size();) {
      const Bytes into = stretch.subspan(done, std::min(kMost, stretch.size() - done));
      const ssize_t got =
          ::pread(file->number(), into.data(), into.size(), static_cast<off_t>(begin + done));
      if (got <= 0) {
        fail("cannot read " + path);
      }
      done += static_cast<std::size_t>(got);
    }
    return 0U;
  };
}

unsigned hash_stretch(Bytes stretch, std::uint64_t) {
  HashBehind hash(stretch);
  hash.filled(stretch.size());
  return hash.finish();
}

Worker worker_of(std::string_view mode, const std::string& target) {
  if (mode == "libcurl") {
    return by_libcurl(target);
  }
  if (mode == "recv") {
    return by_recv(target);
  }
  if (mode == "pread") {
    return by_pread(target);
  }
  if (mode == "blake3") {
    return hash_stretch;
  }
  fail(fmt::format("there is no mode '{}'", mode));
}

// Each worker on its share of the memory, all at once.
void work(const std::vector<Worker>& workers, Bytes memory) {
  constexpr std::uint64_t kAlign = base::kMiB;
  const std::uint64_t share = base::divide_up(memory.size() / workers.size(), kAlign) * kAlign;
  std::atomic<unsigned> sum = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      const std::uint64_t begin = std::min<std::uint64_t>(i * share, memory.size());
      const std::uint64_t end =
          i + 1 == workers.size() ? memory.size() : std::min(begin + share, memory.size());
      threads.emplace_back(
          [&, i, begin, end] { sum += workers[i](memory.subspan(begin, end - begin), begin); });
    }
  }
  volatile unsigned used = sum;
  (void)used;
}

struct Options {
  std::string mode;
  std::uint64_t threads = 0;
  std::uint64_t bytes = 0;
  std::string target;
  bool fresh = false;
};

void run(const Options& options) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const HugeMemory memory(options.bytes);
  if (!options.fresh) {
    std::ranges::fill(memory.bytes(), std::byte{1});
  }
  std::vector<Worker> workers;
  for (std::uint64_t i = 0; i < options.threads; ++i) {
    workers.push_back(worker_of(options.mode, options.target));
  }
  Turns turns;
  turns.work = [&](const std::string&) {
    work(workers, memory.bytes());
    return Turn{options.bytes, ""};
  };
  serve_turns(turns);
}

}  // namespace
}  // namespace weighbridge::bench

int main(int argc, char** argv) {
  using weighbridge::bench::number;
  if (argc != 5 && argc != 6) {
    weighbridge::bench::fail("usage: reference_bench MODE THREADS BYTES TARGET [fresh]");
  }
  const bool fresh = argc == 6 && std::string_view(argv[5]) == "fresh";
  weighbridge::bench::run({argv[1], number(argv[2]), number(argv[3]), argv[4], fresh});
}
