// What a verified load over HTTP costs this process, in CPU seconds per GiB, against a reference
// that does the least possible: libcurl into a callback that throws the bytes away, and BLAKE3 over
// the same bytes in resident memory. Pairs are interleaved; the load is measured from the second
// one in the process on, when its memory is resident, as the reference's is.
//
//   load_bench DIRECTORY-URL FILE-URL PAIRS

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <blake3.h>
#include <curl/curl.h>

#include "base/clock.h"
#include "base/units.h"
#include "device/host_memory.h"
#include "loader/loader.h"
#include "net/http_client.h"
#include "sources/http_source.h"
#include "turns.h"

namespace weighbridge::bench {
namespace {

std::size_t discard(char*, std::size_t size, std::size_t count, void* total) {
  *static_cast<std::uint64_t*>(total) += size * count;
  return size * count;
}

std::uint64_t receive(const std::string& url) {
  std::uint64_t bytes = 0;
  CURL* const easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L * 1024);
  curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &discard);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
  if (curl_easy_perform(easy) != CURLE_OK) {
    fail("cannot fetch " + url);
  }
  curl_easy_cleanup(easy);
  return bytes;
}

// Consumes the digest, so that nothing is optimised away.
unsigned hash(const std::vector<std::byte>& bytes) {
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  blake3_hasher_update(&hasher, bytes.data(), bytes.size());
  std::array<std::uint8_t, BLAKE3_OUT_LEN> digest{};
  blake3_hasher_finalize(&hasher, digest.data(), digest.size());
  return digest[0];
}

// Confined to one thread.
class Bench {
 public:
  explicit Bench(const std::string& directory_url)
      : ref_(must(model::Ref::parse(directory_url))),
        client_(net::make_http_client({})),
        source_(must(sources::open_http_source(*client_, ref_))) {}

  std::uint64_t load() {
    const base::Call call(base::system_clock());
    auto loader = must(loader::Loader::open(call, {*source_, transfer_, pool_}, ref_, {}));
    const std::vector<loader::Tensor> tensors = must(loader->all(call));
    const loader::LoadReport report = loader->report();
    if (report.proof_bytes.size() != 1 || !report.proof_bytes.contains(model::Trust::kOrigin)) {
      fail("the model is not sealed");
    }
    return report.bytes;
  }

 private:
  const model::Ref ref_;
  const std::unique_ptr<net::HttpClient> client_;
  const std::unique_ptr<sources::Source> source_;
  transfer::FirstSeen first_seen_;
  transfer::Transfer transfer_{first_seen_};
  device::HostPool pool_{64 * base::kGiB};
};

int run(const std::string& directory_url, const std::string& file_url, int pairs) {
  Bench bench(directory_url);
  const double gib = static_cast<double>(bench.load()) / static_cast<double>(base::kGiB);
  std::vector<std::byte> resident(receive(file_url), std::byte{1});
  std::vector<double> load_cpu;
  std::vector<double> reference_cpu;
  std::vector<double> load_wall;
  unsigned consumed = 0;
  std::printf("%.2f GiB, verified; CPU-s/GiB of this process\n", gib);
  std::printf("pair   load   libcurl + BLAKE3 = reference   ratio   load GiB/s\n");
  for (int i = 0; i < pairs; ++i) {
    const Cost load = measure([&] { bench.load(); });
    const Cost curl = measure([&] { receive(file_url); });
    const Cost blake3 = measure([&] { consumed += hash(resident); });
    const double reference = curl.cpu_seconds + blake3.cpu_seconds;
    load_cpu.push_back(load.cpu_seconds / gib);
    reference_cpu.push_back(reference / gib);
    load_wall.push_back(gib / load.wall_seconds);
    std::printf("%4d  %.3f     %.3f +  %.3f =     %.3f   %5.2f        %.2f\n",
                i + 1,
                load_cpu.back(),
                curl.cpu_seconds / gib,
                blake3.cpu_seconds / gib,
                reference_cpu.back(),
                load_cpu.back() / reference_cpu.back(),
                load_wall.back());
  }
  std::printf(
      "median: load %.3f, reference %.3f CPU-s/GiB, ratio %.2f (at most 1.25); %.2f GiB/s\n",
      median(load_cpu),
      median(reference_cpu),
      median(load_cpu) / median(reference_cpu),
      median(load_wall));
  return consumed == 0 ? 1 : 0;
}

}  // namespace
}  // namespace weighbridge::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    weighbridge::bench::fail("usage: load_bench DIRECTORY-URL FILE-URL PAIRS");
  }
  return weighbridge::bench::run(argv[1], argv[2], std::atoi(argv[3]));
}
