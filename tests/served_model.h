#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "device/host_memory.h"
#include "formats/testing/safetensors_writer.h"
#include "loader/loader.h"
#include "net/http_client.h"
#include "sources/testing/fake_source.h"
#include "testing/http_server.h"
#include "testing/manual_clock.h"
#include "transfer/transfer.h"

namespace weighbridge::tests {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// How a load ended. A value. Thread-compatible.
struct Outcome {
  std::optional<base::Error> error;
  std::size_t tensors = 0;  // handed over
  std::size_t wrong = 0;    // of those, not what was made: 0, whatever happens
  loader::LoadReport report;

  // It failed, and says with which code, at which file and why.
  bool has_named_error() const;
};

// What PrintTo and assertions show of it.
std::string describe(const Outcome& outcome);

// A directory behind the loopback server, and the whole real client that loads it: HTTP client,
// HTTP source, transfer, index, loader. Retries take no time. Confined to the test's thread.
class ServedModel {
 public:
  // The patience is the client's with a server that says nothing.
  explicit ServedModel(std::chrono::milliseconds patience = std::chrono::hours(1));

  // Everything that is added before seal() is sealed.
  void add_file(const std::string& path, sources::testing::Bytes bytes);
  void add_safetensors(const std::string& path,
                       const std::vector<formats::testing::MadeTensor>& tensors,
                       std::uint64_t header_bytes = 0);
  // Two shards of 3 and 2 pieces, their index and a file that holds no tensors.
  void add_two_shards();
  // Puts the seal beside the files, as `weighbridge seal` does; returns its SHA-256.
  std::string seal();

  testing::HttpServer& server() { return server_; }

  const testing::ManualClock& clock() const { return clock_; }

  const sources::testing::Bytes& bytes_of(const std::string& path) const {
    return files_.files.at(path);
  }

  // Serves these bytes from now on, with that ETag where one is given.
  void serve(const std::string& path, const sources::testing::Bytes& bytes, std::string etag = {});

  // Where a request for that file goes.
  static std::string path_of(const std::string& path) { return "/m/" + path; }

  std::size_t tensor_count() const { return expected_.size(); }

  // Loads what the URL ".../m/" + `what` names, pin included, and compares every tensor.
  Outcome load(const std::string& what = "", std::vector<std::string> filters = {});
  Outcome load(const base::Call& call, const std::string& what, std::vector<std::string> filters);

 private:
  base::Result<void> take_all(const base::Call& call,
                              const std::string& what,
                              loader::LoadOptions options,
                              Outcome& outcome);

  testing::HttpServer server_;
  testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  sources::testing::FakeSource files_;  // what is served, as a source that can be sealed
  std::map<std::string, sources::testing::Bytes> expected_;  // by tensor
  std::unique_ptr<net::HttpClient> client_;
  device::HostPool pool_{64 * 1024 * 1024};
  transfer::FirstSeen first_seen_;
  std::uint64_t loads_ = 0;  // the seed of the jitter of each
};

}  // namespace weighbridge::tests
