// Reads an artifact in an image layout as a pull would, and prints its layout and the SHA-256 of
// each file, or why it is refused.
//
// usage: artifact_check LAYOUT TAG

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "base/json_writer.h"
#include "hash/sha256.h"
#include "io/file_system.h"
#include "pack/image_layout.h"
#include "pack/plan.h"
#include "pack/unpack.h"

namespace weighbridge {
namespace {

using base::Result;
using Digests = std::map<std::string, std::string>;

constexpr std::uint64_t kLimitBytes = 1ULL << 30U;

// Digests each file of an archive. Confined.
class DigestingEntries final : public pack::EntrySink {
 public:
  explicit DigestingEntries(Digests& digests) : digests_(digests) {}

  Result<void> begin(const pack::Entry& entry) override {
    path_ = entry.path;
    sha256_ = hash::Sha256();
    return {};
  }

  Result<void> write(std::span<const std::byte> bytes) override {
    sha256_.update(bytes);
    return {};
  }

  Result<void> end() override {
    digests_[path_] = sha256_.finish().hex();
    return {};
  }

 private:
  Digests& digests_;
  std::string path_;
  hash::Sha256 sha256_;
};

Result<void> deliver(std::string_view bytes, base::BodySink& sink) {
  const auto all = std::as_bytes(std::span(bytes.data(), bytes.size()));
  for (std::size_t at = 0; at < all.size();) {
    const auto window = sink.window();
    const auto step = all.subspan(at, std::min(window.size(), all.size() - at));
    std::copy(step.begin(), step.end(), window.begin());
    TRY(sink.landed(step.size()));
    at += step.size();
  }
  return {};
}

Result<std::string> check(const std::string& directory, const std::string& tag) {
  const auto files = io::real_file_system();
  const auto layout = TRY(pack::ImageLayout::open(*files, directory));
  const auto found = TRY(layout.find(tag));
  const std::string text = TRY(layout.read_small(found, registry::kMaxManifestBytes));
  const auto manifest = TRY(registry::parse_manifest(text, found.media_type));
  auto plan = TRY(pack::plan_artifact(manifest));
  Digests digests;
  for (const pack::PlannedFile& file : plan.files) {
    hash::Sha256 sha256;
    for (const std::size_t layer : file.layers) {
      const std::string bytes = TRY(layout.read_small(manifest.layers[layer], kLimitBytes));
      sha256.update(std::as_bytes(std::span(bytes.data(), bytes.size())));
    }
    digests[file.path] = sha256.finish().hex();
  }
  for (const pack::PlannedArchive& archive : plan.archives) {
    const auto& layer = manifest.layers[archive.layer];
    DigestingEntries entries(digests);
    auto unpacker = TRY(
        pack::LayerUnpacker::open(layer, {archive.compression, kLimitBytes}, plan.paths, entries));
    TRY(deliver(TRY(layout.read_small(layer, kLimitBytes)), *unpacker));
    TRY(unpacker->finish());
  }
  std::string json_text;
  base::JsonWriter json(json_text);
  json.begin_object();
  json.key("layout");
  json.text(pack::name_of(plan.layout));
  json.key("files");
  json.begin_object();
  for (const auto& [path, digest] : digests) {
    json.key(path);
    json.text(digest);
  }
  json.end_object();
  json.end_object();
  return json_text;
}

}  // namespace
}  // namespace weighbridge

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: artifact_check LAYOUT TAG\n", stderr);
    return 2;
  }
  const auto checked = weighbridge::check(argv[1], argv[2]);
  std::puts(checked.ok() ? checked.value().c_str() : checked.error().message().c_str());
  return checked.ok() ? 0 : 1;
}
