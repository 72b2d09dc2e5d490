// Tensors of 8-32 MiB: how soon the first is there, what a filter moves, what memory is held.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "base/units.h"
#include "formats/seal.h"
#include "hash/sha256.h"
#include "loader/loader.h"
#include "net/http_client.h"
#include "served_model.h"
#include "sources/file_source.h"
#include "sources/http_source.h"
#include "testing/http_server.h"
#include "transfer/make_seal.h"

namespace weighbridge::tests {
namespace {

using base::kMiB;
using testing::Fault;
using testing::HttpRequest;

// A sealed model in one file, on a file system in memory where there is one. Thread-compatible.
//
// Its tensors stand in groups "g<i>" of 51.2 MiB, each of 32, 11 and 8.2 MiB, of which the last
// leaves room for a tensor of 4 KiB.
class BigModel {
 public:
  explicit BigModel(int groups) : groups_(groups) {
    path_ = std::filesystem::exists("/dev/shm") ? "/dev/shm/weighbridge-test-XXXXXX"
                                                : "/tmp/weighbridge-test-XXXXXX";
    WB_CHECK(::mkdtemp(path_.data()) != nullptr, "cannot make a directory for the test");
    write();
    seal();
  }

  BigModel(const BigModel&) = delete;
  BigModel& operator=(const BigModel&) = delete;

  ~BigModel() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

  std::uint64_t file_bytes() const { return data_begin_ + tensor_bytes(); }

  std::uint64_t tensor_bytes() const { return static_cast<std::uint64_t>(groups_) * kGroupBytes; }

  const std::string& sha256() const { return sha256_; }

  // Are these the bytes of the tensor? Read from the file, so nothing is kept in memory.
  bool holds(const loader::Tensor& tensor) const {
    std::ifstream file(path_ + "/model.safetensors", std::ios::binary);
    file.seekg(static_cast<std::streamoff>(begin_of_.at(std::string(tensor.name()))));
    std::vector<char> part(kMiB);
    for (std::size_t at = 0; at < tensor.bytes().size(); at += part.size()) {
      const std::size_t size = std::min(part.size(), tensor.bytes().size() - at);
      file.read(part.data(), static_cast<std::streamsize>(size));
      if (!file || std::memcmp(part.data(), tensor.bytes().data() + at, size) != 0) {
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr std::uint64_t kGroupBytes = 53'687'091;  // a twentieth of 1 GiB
  static constexpr std::uint64_t kSmallBytes = 4096;

  std::string header() {
    std::string text = "{";
    std::uint64_t at = 0;
    const auto add = [&](const std::string& name, std::uint64_t bytes) {
      text += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})",
                          at == 0 ? "" : ",",
                          name,
                          bytes,
                          at,
                          at + bytes);
      begin_of_[name] = at;
      at += bytes;
    };
    for (int group = 0; group < groups_; ++group) {
      add(fmt::format("g{}.a", group), 32 * kMiB);
      add(fmt::format("g{}.small", group), kSmallBytes);
      add(fmt::format("g{}.b", group), 11 * kMiB);
      add(fmt::format("g{}.c", group), kGroupBytes - 43 * kMiB - kSmallBytes);
    }
    text += "}";
    text.resize((text.size() + 7) / 8 * 8, ' ');
    data_begin_ = 8 + text.size();
    for (auto& [name, begin] : begin_of_) {
      begin += data_begin_;
    }
    return text;
  }

  // The bytes are cheap to make, and no two MiB are the same.
  void write() {
    const std::string text = header();
    std::ofstream file(path_ + "/model.safetensors", std::ios::binary);
    const std::uint64_t length = text.size();
    std::string part(kMiB, '\0');
    std::memcpy(part.data(), &length, sizeof(length));
    file.write(part.data(), sizeof(length)) << text;
    std::mt19937_64 random(7);
    for (std::size_t i = 0; i < part.size(); i += sizeof(std::uint64_t)) {
      const std::uint64_t word = random();
      std::memcpy(part.data() + i, &word, sizeof(word));
    }
    for (std::uint64_t left = tensor_bytes(); left > 0;) {
      const std::uint64_t size = std::min<std::uint64_t>(left, part.size());
      std::memcpy(part.data(), &left, sizeof(left));
      file.write(part.data(), static_cast<std::streamsize>(size));
      left -= size;
    }
    file.close();
    WB_CHECK(file.good(), "no room for the model of the test");
  }

  void seal() {
    const base::Call call(base::system_clock());
    const auto files = io::real_file_system();
    const auto source = sources::open_file_source(*files, model::Ref::parse(path_).value()).value();
    const auto listing = source->list(call).value();
    transfer::Progress progress;
    const auto seal = transfer::make_seal(call, *source, *listing, progress).value();
    sha256_ = seal.files.at(0).sha256.hex();
    const auto bytes = formats::write_seal(seal).value();
    WB_CHECK(io::write_file_atomically(*files, path_ + "/weighbridge.seal", bytes).ok(),
             "no room for the seal of the test");
  }

  const int groups_;
  std::string path_;
  std::string sha256_;
  std::uint64_t data_begin_ = 0;
  std::map<std::string, std::uint64_t> begin_of_;
};

// The client, with no memory of earlier loads. Confined to the test's thread.
class Client {
 public:
  Client() {
    net::HttpClientOptions options;
    options.no_proxy = "*";
    client_ = net::make_http_client(options);
  }

  std::unique_ptr<loader::Loader> open(const std::string& url, loader::LoadOptions options) {
    const auto ref = model::Ref::parse(url).value();
    source_ = sources::open_http_source(*client_, ref).value();
    auto loader =
        loader::Loader::open(call_, {*source_, transfer_, pool_}, ref, std::move(options));
    WB_CHECK(loader.ok(), loader.error().message().c_str());
    return std::move(loader).value();
  }

  std::optional<loader::Tensor> next(loader::Loader& loader) { return loader.next(call_).value(); }

 private:
  const base::Call call_{base::system_clock()};
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<sources::Source> source_;
  transfer::FirstSeen first_seen_;
  transfer::Transfer transfer_{first_seen_, 1};
  device::HostPool pool_{0};
};

double percent(std::uint64_t part, std::uint64_t whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

TEST(BigLoad, the_first_tensor_is_out_before_5_percent_of_a_gibibyte_has_left_the_server) {
  const BigModel model(20);
  // A wire of 128 MB/s, so that what is counted does not depend on who is scheduled when.
  testing::HttpServer server([](const HttpRequest&) {
    Fault fault;
    fault.bytes_per_second = 16'000'000;
    return fault;
  });
  server.serve_directory(model.path());
  Client client;
  const auto loader = client.open(server.url("/"), {});
  auto tensor = client.next(*loader);
  while (tensor && tensor->bytes().size() < 8 * kMiB) {
    tensor = client.next(*loader);
  }
  const std::uint64_t sent = server.counts().body_bytes;
  ASSERT_TRUE(tensor);
  EXPECT_TRUE(model.holds(*tensor));
  EXPECT_LT(percent(sent, model.file_bytes()), 5.0);
  std::cout << fmt::format("'{}' of {} was out after {} of {}: {:.2f} %\n",
                           tensor->name(),
                           base::format_bytes(tensor->bytes().size()),
                           base::format_bytes(sent),
                           base::format_bytes(model.file_bytes()),
                           percent(sent, model.file_bytes()));
}

TEST(BigLoad, a_filter_for_5_percent_of_the_bytes_in_one_place_moves_at_most_6_percent) {
  const BigModel model(20);
  testing::HttpServer server;
  server.serve_directory(model.path());
  Client client;
  const auto loader = client.open(server.url("/"), {.filters = {"g7.*"}});
  std::size_t tensors = 0;
  while (const auto tensor = client.next(*loader)) {
    EXPECT_TRUE(model.holds(*tensor)) << tensor->name();
    ++tensors;
  }
  EXPECT_EQ(tensors, 4U);
  const std::uint64_t sent = server.counts().body_bytes;
  EXPECT_GT(percent(loader->wanted_bytes(), model.file_bytes()), 4.99);
  EXPECT_LE(percent(sent, model.file_bytes()), 6.0);
  std::cout << fmt::format("{:.2f} % wanted, {:.2f} % moved\n",
                           percent(loader->wanted_bytes(), model.file_bytes()),
                           percent(sent, model.file_bytes()));
}

// ---------------------------------------------------------------------------------------- memory

// The server in a process of its own, so that its memory is not counted as the client's.
// Thread-compatible.
class ServerProcess {
 public:
  explicit ServerProcess(const std::string& directory) {
    int ends[2] = {-1, -1};
    WB_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::execl(WB_FAULT_SERVER, WB_FAULT_SERVER, directory.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    std::string said;
    for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) {
      said += c;
    }
    ::close(ends[0]);
    url_ = said.substr(said.find("http"));
  }

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  ~ServerProcess() {
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
  }

  const std::string& url() const { return url_; }

 private:
  pid_t process_ = -1;
  std::string url_;
};

// A line of /proc/self/status in bytes: VmRSS, VmHWM.
std::uint64_t memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) {
      return std::stoull(line.substr(name.size() + 1)) * base::kKiB;
    }
  }
  return 0;
}

// From now on VmHWM is the most since now. False where the kernel does not let us.
bool forget_peak() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;
  return clear.good();
}

class MemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) {
      GTEST_SKIP() << "a sanitizer's own memory would be counted";
    }
    if (!forget_peak()) {
      GTEST_SKIP() << "this kernel does not let a process reset its peak";
    }
  }

  // Loads all of it, holding every tensor to the end.
  static void expect_small_peak(const std::string& fragment_of_sha256) {
    const BigModel model(6);
    const ServerProcess server(model.path());
    Client client;
    ASSERT_TRUE(forget_peak());
    const std::string pin = fragment_of_sha256.empty()
                                ? "/"
                                : "/model.safetensors" + fragment_of_sha256 + model.sha256();
    const auto loader = client.open(server.url() + pin, {});
    std::vector<loader::Tensor> tensors;
    while (auto tensor = client.next(*loader)) {
      tensors.push_back(std::move(*tensor));
    }
    const std::uint64_t peak = memory("VmHWM");
    EXPECT_EQ(tensors.size(), 24U);
    EXPECT_GE(peak, model.tensor_bytes());
    EXPECT_LE(peak, model.tensor_bytes() + 128 * kMiB);
    std::cout << fmt::format("{} of tensors, peak RSS {}: {} above\n",
                             base::format_bytes(model.tensor_bytes()),
                             base::format_bytes(peak),
                             base::format_bytes(peak - model.tensor_bytes()));
  }
};

TEST_F(MemoryTest, one_held_tensor_of_4_KiB_pins_at_most_64_MiB) {
  const BigModel model(6);
  const ServerProcess server(model.path());
  Client client;
  const std::uint64_t before = memory("VmRSS");
  auto loader = client.open(server.url() + "/", {});
  std::optional<loader::Tensor> held;
  while (auto tensor = client.next(*loader)) {
    if (tensor->name() == "g3.small") {
      held = std::move(tensor);
    }
  }
  loader.reset();
  ASSERT_TRUE(held);
  EXPECT_TRUE(model.holds(*held));
  const std::uint64_t pinned = memory("VmRSS") - before;
  EXPECT_LE(pinned, 64 * kMiB + 24 * kMiB);
  std::cout << fmt::format("4 KiB held of {}: {} more RSS than before the load\n",
                           base::format_bytes(model.tensor_bytes()),
                           base::format_bytes(pinned));
}

TEST_F(MemoryTest, the_peak_of_a_sealed_load_is_at_most_128_MiB_above_its_tensors) {
  expect_small_peak("");
}

TEST_F(MemoryTest, the_peak_of_a_load_pinned_by_sha256_is_at_most_128_MiB_above_its_tensors) {
  expect_small_peak("#sha256=");
}

TEST_F(MemoryTest, a_bounded_load_whose_tensors_are_dropped_stays_within_its_bound) {
  constexpr std::uint64_t kBound = 96 * kMiB;
  const BigModel model(12);
  const ServerProcess server(model.path());
  for (const std::string& pin : {std::string("/"), "/model.safetensors#sha256=" + model.sha256()}) {
    Client client;
    const std::uint64_t before = memory("VmRSS");
    ASSERT_TRUE(forget_peak());
    const auto loader = client.open(server.url() + pin, {.memory_bytes = kBound});
    std::size_t tensors = 0;
    while (const auto tensor = client.next(*loader)) {
      EXPECT_TRUE(model.holds(*tensor)) << tensor->name();
      ++tensors;
    }
    const std::uint64_t peak = memory("VmHWM") - before;
    EXPECT_EQ(tensors, 48U);
    EXPECT_LE(peak, kBound + 32 * kMiB);
    std::cout << fmt::format("{} of tensors within {}: {} at most\n",
                             base::format_bytes(model.tensor_bytes()),
                             base::format_bytes(kBound),
                             base::format_bytes(peak));
  }
}

// Its names and shapes are most of what it is.
TEST_F(MemoryTest, half_a_million_tensors_cost_less_than_128_MiB_beside_their_bytes) {
  constexpr std::uint64_t kTensors = 500'000;
  constexpr std::uint64_t kBytes = 64;
  std::string directory = "/tmp/weighbridge-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  {
    std::string text = "{";
    for (std::uint64_t i = 0; i < kTensors; ++i) {
      text += fmt::format(
          R"({}"model.layers.{}.w":{{"dtype":"U8","shape":[8,8],"data_offsets":[{},{}]}})",
          i == 0 ? "" : ",",
          i,
          i * kBytes,
          (i + 1) * kBytes);
    }
    text += "}";
    std::ofstream file(directory + "/model.safetensors", std::ios::binary);
    const std::uint64_t length = text.size();
    std::string prefix(sizeof(length), '\0');
    std::memcpy(prefix.data(), &length, sizeof(length));
    file << prefix << text << std::string(kTensors * kBytes, 'w');
  }
  const base::Call call(base::system_clock());
  const auto files = io::real_file_system();
  const auto ref = model::Ref::parse(directory).value();
  const auto source = sources::open_file_source(*files, ref).value();
  transfer::FirstSeen first_seen;
  transfer::Transfer transfer(first_seen, 1);
  device::HostPool pool(0);
  const std::uint64_t before = memory("VmRSS");
  ASSERT_TRUE(forget_peak());
  {
    auto loader = loader::Loader::open(call, {*source, transfer, pool}, ref, {}).value();
    const std::vector<loader::Tensor> tensors = loader->all(call).value();
    EXPECT_EQ(tensors.size(), kTensors);
  }
  const std::uint64_t beside = memory("VmHWM") - before - kTensors * kBytes;
  EXPECT_LE(beside, 128 * kMiB);
  std::cout << fmt::format("{} a tensor beside its own bytes\n",
                           base::format_bytes(beside / kTensors));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weighbridge::tests
