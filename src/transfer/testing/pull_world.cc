#include "transfer/testing/pull_world.h"

#include <utility>

#include <fmt/format.h>

#include "base/units.h"
#include "hash/hint.h"
#include "hash/sha256.h"

namespace weighbridge::transfer::testing {

formats::SealedFile seal_file(const std::string& path,
                              const Bytes& bytes,
                              const std::vector<base::Range>& hinted) {
  model::File file = sources::testing::sealed_file(path, bytes, model::Trust::kOrigin);
  formats::SealedFile sealed;
  sealed.path = path;
  sealed.size = file.size;
  sealed.sha256 = hash::Sha256::of(bytes);
  sealed.root = *file.root;
  sealed.pieces = std::move(file.pieces);
  for (const base::Range& range : hinted) {
    hash::HintHasher hasher;
    hasher.update(std::span(bytes).subspan(range.begin, range.size()));
    sealed.hints.push_back({range, hasher.finish()});
  }
  return sealed;
}

void PullWorld::serve_model() {
  origin.files["config.json"] = sources::testing::random_bytes(500, 1);
  origin.files["model.safetensors"] = sources::testing::random_bytes(9 * base::kMiB + 77, 2);
  origin.files["sub/other.bin"] = sources::testing::random_bytes(3 * base::kMiB, 3);
  origin.can_list = false;
  seal();
}

void PullWorld::seal() {
  formats::Seal seal;
  for (const auto& [path, bytes] : origin.files) {
    seal.files.push_back(seal_file(path, bytes));
  }
  origin.seal_bytes = formats::write_seal(seal).value();
  origin.validators[std::string(formats::kSealName)] = {fmt::format("\"{}\"", ++seals_), ""};
}

std::unique_ptr<store::Store> PullWorld::open_store() {
  return store::Store::open(disk, home, limits).value();
}

base::Result<Pulled> PullWorld::pull(const PullOptions& options) {
  const auto store = TRY(store::Store::open(disk, home, limits));
  FirstSeen first_seen;
  Transfer transfer(first_seen, 1);
  PullProgress progress;
  return transfer::pull(call, {&origin, transfer, *store}, ref, options, progress);
}

Bytes PullWorld::read(const std::string& path) const {
  constexpr std::uint64_t kMost = 200 * base::kMiB;
  auto bytes = io::read_file(*real, path, kMost);
  return bytes.ok() ? std::move(bytes).value() : Bytes();
}

bool PullWorld::is_whole(const Pulled& pulled) const {
  for (const auto& [path, bytes] : origin.files) {
    if (read(pulled.directory + "/" + path) != bytes) {
      return false;
    }
  }
  return true;
}

}  // namespace weighbridge::transfer::testing
