#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/body_sink.h"
#include "base/result.h"
#include "pack/decompress.h"
#include "pack/entry_sink.h"
#include "pack/path_set.h"
#include "pack/tar_reader.h"
#include "registry/digest.h"
#include "registry/manifest.h"

namespace weighbridge::pack {

// One archive layer, unpacked while its bytes arrive: hashed as they came, decompressed, taken
// apart, and given to an EntrySink. Memory does not grow with the layer. Confined to one thread.
class LayerUnpacker final : public base::BodySink {
 public:
  struct Options {
    Compression compression = Compression::kNone;
    std::uint64_t limit_bytes = 0;  // of the files together
  };

  // `layer` names what is to come. `paths` and `sink` outlive the unpacker; `paths` is shared by
  // all layers of the artifact.
  static base::Result<std::unique_ptr<LayerUnpacker>> open(const registry::Descriptor& layer,
                                                           Options options,
                                                           PathSet& paths,
                                                           EntrySink& sink);

  std::span<std::byte> window() override;
  // What TarReader and Decompressor fail with; kCorrupt for more bytes than the descriptor says.
  base::Result<void> landed(std::size_t bytes) override;

  // After the last byte. kCorrupt, with both digests: these are not the layer's bytes; or the
  // stream or the archive has not ended. What was given to the sink holds only after a success.
  base::Result<void> finish();

  // Files that no seal may list, which were left out.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  LayerUnpacker(const registry::Descriptor& layer,
                Options options,
                PathSet& paths,
                EntrySink& sink,
                std::unique_ptr<Decompressor> decompressor);

  const registry::Descriptor layer_;
  std::vector<std::string> left_out_;
  registry::Digester digester_;
  const std::unique_ptr<Decompressor> decompressor_;
  TarReader tar_;
  std::uint64_t read_bytes_ = 0;
  std::vector<std::byte> window_;
};

}  // namespace weighbridge::pack
