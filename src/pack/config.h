#pragma once

#include <span>
#include <string>

#include "pack/description.h"
#include "registry/manifest.h"

namespace weighbridge::pack {

// The config of ModelPack for these layers: one text for one description.
std::string config_text(const Description& description,
                        std::span<const registry::Descriptor> layers);

// What ModelPack has no field for, as annotations of the manifest.
registry::Annotations manifest_annotations(const Description& description);

}  // namespace weighbridge::pack
