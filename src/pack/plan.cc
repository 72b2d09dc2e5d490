#include "pack/plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "formats/seal.h"
#include "pack/layer_role.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Error;
using base::Result;
using registry::Descriptor;
using registry::Manifest;
using Kind = LayerRole::Kind;

// Who names one content twice says the same of it.
Result<void> check_sizes(const Manifest& manifest) {
  std::map<std::string_view, std::uint64_t> sizes;
  for (const Descriptor& layer : manifest.layers) {
    const auto [there, is_new] = sizes.emplace(layer.digest.text(), layer.size);
    if (!is_new && there->second != layer.size) {
      return Error(
          Code::kCorrupt,
          fmt::format("{} is said to have {} bytes, and {} bytes elsewhere in the manifest",
                      layer.digest.text(),
                      there->second,
                      layer.size));
    }
  }
  return {};
}

Error broken_part(const LayerRole& role, std::string_view why) {
  return {Code::kCorrupt,
          fmt::format(
              "the parts of '{}' do not make one file: {}", base::printable(role.part->path), why)};
}

// Makes the plan layer by layer. Confined.
class Planner {
 public:
  explicit Planner(const Manifest& manifest) : manifest_(manifest) {}

  Result<void> add(std::size_t layer, LayerRole role) {
    if (open_ != nullptr && !continues(role)) {
      return broken_part(open_role_, "the last one is missing");
    }
    switch (role.kind) {
      case Kind::kArchive:
        plan_.archives.push_back({layer, role.compression});
        return {};
      case Kind::kFile:
        return role.part ? add_part(layer, std::move(role)) : add_file(layer, std::move(role));
      case Kind::kNothing:
        break;
    }
    return {};
  }

  Result<ArtifactPlan> finish() && {
    if (open_ != nullptr) {
      return broken_part(open_role_, "the last one is missing");
    }
    if (plan_.files.empty() && plan_.archives.empty()) {
      return Error(Code::kNotFound, "the artifact holds no files");
    }
    std::sort(plan_.files.begin(), plan_.files.end(), [](const auto& a, const auto& b) {
      return a.path < b.path;
    });
    return std::move(plan_);
  }

  ArtifactPlan& plan() { return plan_; }

 private:
  bool continues(const LayerRole& role) const {
    return role.part && role.part->path == open_role_.part->path;
  }

  Result<void> add_file(std::size_t layer, LayerRole role) {
    TRY(plan_.paths.add_file(role.path));
    if (role.path == formats::kSealName) {
      plan_.seal = layer;
      return {};
    }
    if (!formats::is_sealable(role.path)) {
      plan_.left_out.push_back(std::move(role.path));
      return {};
    }
    plan_.files.push_back(
        {std::move(role.path), manifest_.layers[layer].size, role.executable, {layer}});
    return {};
  }

  // Parts stand side by side, so that the file that is open is the last of the plan.
  Result<void> add_part(std::size_t layer, LayerRole role) {
    const std::uint64_t bytes = manifest_.layers[layer].size;
    if (role.part->offset != open_bytes_) {
      return broken_part(
          role, fmt::format("one begins at {} instead of {}", role.part->offset, open_bytes_));
    }
    if (bytes == 0 ||
        bytes > role.part->file_bytes - std::min(open_bytes_, role.part->file_bytes)) {
      return broken_part(role, "one is empty or longer than what is left");
    }
    if (open_ == nullptr) {
      TRY(begin_parts(role));
    } else if (role.part->file_bytes != open_->size || role.executable != open_->executable) {
      return broken_part(role, "they disagree about the file");
    }
    open_->layers.push_back(layer);
    open_bytes_ += bytes;
    if (open_bytes_ == open_->size) {
      open_ = nullptr;
      open_bytes_ = 0;
    }
    return {};
  }

  Result<void> begin_parts(const LayerRole& role) {
    TRY(plan_.paths.add_file(role.part->path));
    if (!formats::is_sealable(role.part->path)) {
      return broken_part(role, "no model has a file of that name");
    }
    plan_.files.push_back({role.part->path, role.part->file_bytes, role.executable, {}});
    open_ = &plan_.files.back();
    open_role_ = role;
    return {};
  }

  const Manifest& manifest_;
  ArtifactPlan plan_;
  PlannedFile* open_ = nullptr;  // in plan_.files; the file whose parts are being added
  LayerRole open_role_;          // of its first part
  std::uint64_t open_bytes_ = 0;
};

}  // namespace

std::string_view name_of(Layout layout) {
  switch (layout) {
    case Layout::kModelPack:
      return "modelpack";
    case Layout::kOrmb:
      return "ormb";
    case Layout::kKitOps:
      return "kitops";
    case Layout::kDocker:
      return "docker";
    case Layout::kOllama:
      return "ollama";
    case Layout::kFiles:
      break;
  }
  return "files";
}

Result<ArtifactPlan> plan_artifact(const Manifest& manifest) {
  TRY(check_sizes(manifest));
  TRY(registry::total_bytes(manifest));
  const Layout layout = layout_of(manifest);
  std::vector<LayerRole> roles = TRY(layer_roles(manifest, layout));
  Planner planner(manifest);
  planner.plan().layout = layout;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    TRY(planner.add(i, std::move(roles[i])));
  }
  return std::move(planner).finish();
}

model::Snapshot snapshot_of(const ArtifactPlan& plan,
                            const Manifest& manifest,
                            std::string origin,
                            model::Trust trust) {
  model::Snapshot snapshot;
  snapshot.origin = std::move(origin);
  snapshot.listed = plan.archives.empty();
  for (const PlannedFile& planned : plan.files) {
    model::File file;
    file.path = planned.path;
    file.size = planned.size;
    file.executable = planned.executable;
    if (planned.layers.size() == 1) {
      const registry::Digest& digest = manifest.layers[planned.layers[0]].digest;
      file.sha256 = digest.sha256();
      file.root = digest.root();
    }
    file.trust = file.sha256 || file.root ? trust : model::Trust::kNone;
    snapshot.files.push_back(std::move(file));
  }
  return snapshot;
}

}  // namespace weighbridge::pack
