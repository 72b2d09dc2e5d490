#pragma once

#include <string_view>

namespace weighbridge::pack {

// Names that stand in artifacts; docs/formats/oci-artifact.md says what they mean.
inline constexpr std::string_view kModelManifestType =
    "application/vnd.cncf.model.manifest.v1+json";
inline constexpr std::string_view kModelConfigType = "application/vnd.cncf.model.config.v1+json";
inline constexpr std::string_view kModelTypePrefix = "application/vnd.cncf.model.";
// What the specification was called before; modctl still writes it.
inline constexpr std::string_view kOldModelTypePrefix = "application/vnd.cnai.model.";

inline constexpr std::string_view kTitle = "org.opencontainers.image.title";
inline constexpr std::string_view kFilepath = "org.cncf.model.filepath";
inline constexpr std::string_view kOldFilepath = "org.cnai.model.filepath";
inline constexpr std::string_view kFileMetadata = "org.cncf.model.file.metadata+json";
inline constexpr std::string_view kOldFileMetadata = "org.cnai.model.file.metadata+json";
inline constexpr std::string_view kUntested = "org.cncf.model.file.mediatype.untested";

inline constexpr std::string_view kOurPrefix = "dev.weighbridge.";
inline constexpr std::string_view kPartFile = "dev.weighbridge.file";
inline constexpr std::string_view kPartOffset = "dev.weighbridge.offset";
inline constexpr std::string_view kPartSize = "dev.weighbridge.size";

}  // namespace weighbridge::pack
