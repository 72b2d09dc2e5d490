// Our side of tools/bench: the Loader itself, as a program that embeds it would use it. The process
// lives on between turns, so from the second load on its memory is resident.
//
//   loader_bench [--drop] [--verify sealed|always] [--memory BYTES] REF...
//
// A turn's word is the number of the REF to load, from 0. --drop: a tensor is given back as soon as
// it has come, and its memory with it; otherwise all are kept until the turn is over. --verify:
// sealed, as it comes, hashes no file that it has hashed before; what it has hashed it remembers
// below WEIGHBRIDGE_HOME.

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/units.h"
#include "device/host_memory.h"
#include "hash/sha256.h"
#include "io/file_system.h"
#include "loader/loader.h"
#include "net/http_client.h"
#include "sources/file_source.h"
#include "sources/http_source.h"
#include "store/proofs.h"
#include "transfer/explanation.h"
#include "transfer/local_proofs.h"
#include "turns.h"

namespace weighbridge::bench {
namespace {

constexpr std::uint64_t kKeepAll = 64 * base::kGiB;

struct Options {
  bool drop = false;
  bool hash_always = false;
  std::uint64_t memory_bytes = 0;  // 0: no bound
  std::vector<std::string> refs;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--drop") {
      options.drop = true;
    } else if (argument == "--verify" && i + 1 < argc) {
      options.hash_always = std::string_view(argv[++i]) == "always";
    } else if (argument == "--memory" && i + 1 < argc) {
      options.memory_bytes = number(argv[++i]);
    } else {
      options.refs.emplace_back(argument);
    }
  }
  if (options.refs.empty()) {
    fail("usage: loader_bench [--drop] REF...");
  }
  return options;
}

std::string home_directory() {
  const char* const home = std::getenv("WEIGHBRIDGE_HOME");
  if (home == nullptr) {
    fail("WEIGHBRIDGE_HOME is not set");
  }
  return home;
}

// Confined to one thread.
class Bench {
 public:
  explicit Bench(const Options& options)
      : drop_(options.drop), memory_bytes_(options.memory_bytes) {
    if (options.hash_always) {
      local_proofs_.hash_always();
    }
    for (const std::string& text : options.refs) {
      refs_.push_back(must(model::Ref::parse(text)));
      sources_.push_back(must(refs_.back().scheme() == model::Scheme::kFile
                                  ? sources::open_file_source(*files_, refs_.back())
                                  : sources::open_http_source(*client_, refs_.back())));
    }
  }

  Turn load(const std::string& word) {
    const std::size_t which = number(word);
    if (which >= refs_.size()) {
      fail("there is no such REF");
    }
    const base::Call call(base::system_clock());
    began_ = wall_seconds();
    loader::LoadOptions options;
    options.memory_bytes = memory_bytes_;
    loader_ = must(
        loader::Loader::open(call, {*sources_[which], transfer_, pool_}, refs_[which], options));
    while (auto tensor = must(loader_->next(call))) {
      arrived(tensor->bytes().size());
      if (!drop_) {
        tensors_.push_back(std::move(*tensor));
      }
    }
    const loader::LoadReport report = loader_->report();
    if (!is_proved(report)) {
      fail("not every byte was proved");
    }
    return {report.bytes, notes(report)};
  }

  void clean_up() {
    tensors_.clear();
    loader_.reset();
    arrivals_.clear();
  }

  std::string digest() {
    load("0");
    std::ranges::sort(tensors_, {}, &loader::Tensor::name);
    hash::Sha256 all;
    for (const loader::Tensor& tensor : tensors_) {
      const std::string line =
          fmt::format("{} {}\n", tensor.name(), hash::Sha256::of(tensor.bytes()).hex());
      all.update(std::as_bytes(std::span(line)));
    }
    return all.finish().hex();
  }

 private:
  struct Arrival {
    double seconds = 0;
    std::uint64_t bytes = 0;  // so far
  };

  // A point every 50 ms: enough to see a rate rise.
  void arrived(std::uint64_t bytes) {
    constexpr double kStep = 0.05;
    so_far_ = arrivals_.empty() ? 0 : so_far_;
    so_far_ += bytes;
    const double seconds = wall_seconds() - began_;
    if (arrivals_.empty() || seconds > arrivals_.back().seconds + kStep) {
      arrivals_.push_back({seconds, so_far_});
    }
  }

  static bool is_proved(const loader::LoadReport& report) {
    return std::ranges::all_of(report.proof_bytes, [](const auto& by_trust) {
      return by_trust.first == model::Trust::kOrigin || by_trust.first == model::Trust::kPinned;
    });
  }

  std::string notes(const loader::LoadReport& report) const {
    std::string arrivals;
    for (const Arrival& arrival : arrivals_) {
      arrivals += fmt::format(
          "{}[{:.3f}, {}]", arrivals.empty() ? "" : ", ", arrival.seconds, arrival.bytes);
    }
    return fmt::format(
        R"(, "requests": {}, "connections": {}, "received_bytes": {}, "arrivals": [{}])",
        report.transfer.requests,
        report.transfer.explanation->end_connections,
        report.transfer.received_bytes,
        arrivals);
  }

  const bool drop_;
  const std::uint64_t memory_bytes_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const std::unique_ptr<net::HttpClient> client_ = net::make_http_client({});
  std::vector<model::Ref> refs_;
  std::vector<std::unique_ptr<sources::Source>> sources_;
  transfer::FirstSeen first_seen_;
  store::Proofs proofs_{*files_, home_directory()};
  transfer::LocalProofs local_proofs_{proofs_};
  transfer::Transfer transfer_{first_seen_, std::random_device{}(), &local_proofs_};
  device::HostPool pool_{drop_ ? 0 : kKeepAll};
  std::unique_ptr<loader::Loader> loader_;
  std::vector<loader::Tensor> tensors_;
  std::vector<Arrival> arrivals_;
  std::uint64_t so_far_ = 0;
  double began_ = 0;
};

void run(const Options& options) {
  Bench bench(options);
  serve_turns({[&](const std::string& word) { return bench.load(word); },
               [&] { bench.clean_up(); },
               [&] { return bench.digest(); }});
}

}  // namespace
}  // namespace weighbridge::bench

int main(int argc, char** argv) {
  weighbridge::bench::run(weighbridge::bench::parse(argc, argv));
}
