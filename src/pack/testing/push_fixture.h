#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "model/ref.h"
#include "pack/media_types.h"
#include "pack/push.h"
#include "registry/manifest.h"
#include "registry/testing/client_fixture.h"
#include "sources/file_source.h"
#include "sources/http_source.h"
#include "testing/scratch_directory.h"
#include "transfer/first_seen.h"

namespace weighbridge::pack::testing {

using registry::testing::FakeRules;
using registry::testing::some_bytes;
using HttpFault = weighbridge::testing::Fault;

inline constexpr std::size_t kShardBytes = 9'000'001;

// A model on disk, and a registry to push it to. Confined to its test.
class PushTest : public ::testing::Test {
 protected:
  PushTest() { begin({}); }

  void begin(FakeRules rules, std::optional<registry::Capabilities> known = std::nullopt) {
    pair_ = std::make_unique<registry::testing::Pair>(std::move(rules));
    if (known) {
      pair_->open(*known);
    }
  }

  static registry::Capabilities row(std::string_view kind) {
    for (const registry::Capabilities& known : registry::known_capabilities()) {
      if (known.kind == kind) {
        return known;
      }
    }
    return {};
  }

  void write(const std::string& name, const std::string& bytes) {
    const std::string path = directory_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
  }

  void write_model() {
    write("a.bin", some_bytes(kShardBytes));
    write("b.bin", some_bytes(kShardBytes + 1));
    write("config.json", R"({"model_type": "llama"})");
    write("empty.txt", "");
  }

  base::Result<Pushed> push(const std::string& to = "org/model:v1", const std::string& ref = {}) {
    const auto from = model::Ref::parse(ref.empty() ? directory_.path() : ref).value();
    const auto source = from.scheme() == model::Scheme::kHttp
                            ? sources::open_http_source(pair_->http(), from)
                            : sources::open_file_source(*files_, from);
    const PushParts parts{*files_, transfer_, nullptr, home_.path(), 7};
    const auto reference = registry::Reference::parse(pair_->fake().host() + "/" + to).value();
    return pack::push(call(),
                      parts,
                      {*source.value(), from},
                      {pair_->client(), reference, mount_from_},
                      progress_);
  }

  base::Call call() const { return pair_->call(); }

  registry::testing::FakeRegistry& fake() { return pair_->fake(); }

  registry::Manifest manifest(const std::string& tag = "v1") {
    const auto fetched = pair_->client().get_manifest(call(), "org/model", tag);
    return registry::parse_manifest(fetched.value().bytes).value();
  }

  std::string blob(const std::string& path) {
    for (const registry::Descriptor& layer : manifest().layers) {
      if (layer.annotations.at(std::string(kTitle)) == path) {
        return *fake().blob("org/model", layer.digest);
      }
    }
    return "no such file";
  }

  void expect_model_there() {
    EXPECT_EQ(blob("a.bin"), some_bytes(kShardBytes));
    EXPECT_EQ(blob("b.bin"), some_bytes(kShardBytes + 1));
    EXPECT_EQ(blob("empty.txt"), "");
    EXPECT_EQ(fake().open_uploads(), 0U);
  }

  std::size_t requests(std::string_view method) {
    std::size_t count = 0;
    for (const auto& request : fake().server().requests()) {
      count += request.method == method ? 1 : 0;
    }
    return count;
  }

  std::uint64_t bytes_sent() {
    std::uint64_t bytes = 0;
    for (const auto& request : fake().server().requests()) {
      bytes += request.body.size();
    }
    return bytes;
  }

  const weighbridge::testing::ScratchDirectory directory_;
  const weighbridge::testing::ScratchDirectory home_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  transfer::FirstSeen first_seen_;
  transfer::Transfer transfer_{first_seen_, 7};
  transfer::Progress progress_;
  std::vector<std::string> mount_from_;
  std::unique_ptr<registry::testing::Pair> pair_;
};

}  // namespace weighbridge::pack::testing
