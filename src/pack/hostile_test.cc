// Artifacts that mean harm, or are broken: each is refused with a code and a name. One table, made
// here byte by byte, so that a new trick is one more line.

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pack/media_types.h"
#include "pack/testing/archives.h"
#include "pack/testing/artifacts.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using registry::Annotations;
using testing::gzip;
using ::testing::HasSubstr;
using testing::made_artifact;
using testing::MadeArtifact;
using testing::pax;
using testing::tar_end;
using testing::tar_entry;
using testing::tar_of;
using testing::zstd;

const std::string kRaw = "application/vnd.cncf.model.weight.v1.raw";
const std::string kTar = "application/vnd.cncf.model.weight.v1.tar";

struct Hostile {
  std::string name;
  std::function<void(MadeArtifact&)> make;
  Code code;
  std::string says;
};

Annotations at(std::string_view path) {
  return {{std::string(kFilepath), std::string(path)}};
}

Annotations metadata(std::string_view path, std::string_view json) {
  Annotations annotations = at(path);
  annotations[std::string(kFileMetadata)] = json;
  return annotations;
}

Annotations part(std::string_view offset, std::string_view size) {
  return {{std::string(kFilepath), "m.part"},
          {std::string(kPartFile), "m"},
          {std::string(kPartOffset), std::string(offset)},
          {std::string(kPartSize), std::string(size)}};
}

// One layer that is a tar archive of these bytes.
std::function<void(MadeArtifact&)> tar(std::string bytes) {
  return [bytes = std::move(bytes)](MadeArtifact& artifact) { artifact.add(kTar, bytes); };
}

std::function<void(MadeArtifact&)> raw(Annotations annotations) {
  return [annotations = std::move(annotations)](MadeArtifact& artifact) {
    artifact.add(kRaw, "x", annotations);
  };
}

std::string entry(std::string path, char type, std::string link = {}) {
  return tar_of({{.path = std::move(path), .type = type, .link = std::move(link)}});
}

std::vector<Hostile> paths() {
  return {
      {"traversal in an archive",
       tar(entry("../../etc/cron.d/x", '0')),
       Code::kInvalid,
       "../../etc"},
      {"traversal in the middle", tar(entry("a/../../x", '0')), Code::kInvalid, "a/../../x"},
      {"traversal in a title", raw(at("../x")), Code::kInvalid, "'../x'"},
      {"traversal in a pax name",
       tar(pax({{"path", "../x"}}) + entry("ok", '0')),
       Code::kInvalid,
       "'../x'"},
      {"traversal in a long name",
       tar(tar_entry({.path = "l", .body = "../x", .type = 'L'}) + entry("ok", '0')),
       Code::kInvalid,
       "'../x'"},
      {"an absolute path", tar(entry("/etc/passwd", '0')), Code::kInvalid, "'/etc/passwd'"},
      {"an absolute title", raw(at("/etc/passwd")), Code::kInvalid, "'/etc/passwd'"},
      {"an absolute directory", tar(entry("/etc/", '5')), Code::kInvalid, "'/etc'"},
      {"the root as a directory", tar(entry("/", '5')), Code::kInvalid, "not a path"},
      {"a path that is a directory's parent", tar(entry("..", '5')), Code::kInvalid, "'..'"},
      {"a backslash", raw(at("..\\x")), Code::kInvalid, "backslash"},
      {"a drive", raw(at("C:\\x")), Code::kInvalid, "backslash"},
      {"an empty name in an archive", tar(entry("", '0')), Code::kInvalid, "''"},
      {"an empty part", raw(at("a//b")), Code::kInvalid, "'a//b'"},
      {"a line break", raw(at("a\nb")), Code::kInvalid, "a\\x0ab"},
      {"an escape that moves the cursor", raw(at("\x1b[2Jx")), Code::kInvalid, "\\x1b[2Jx"},
      {"no UTF-8", tar(entry("\xff\xfe", '0')), Code::kInvalid, "\\xff"},
      {"a path of 5,000 bytes", raw(at(std::string(5000, 'a'))), Code::kInvalid, "aaa..."},
      {"a path of 100 parts",
       [](MadeArtifact& artifact) {
         std::string path = "a";
         for (int i = 0; i < 100; ++i) {
           path += "/a";
         }
         artifact.add(kRaw, "x", at(path));
       },
       Code::kInvalid,
       "more than 64 parts"},
  };
}

std::vector<Hostile> clashes() {
  const auto two = [](std::string first, std::string second) {
    return [=](MadeArtifact& artifact) {
      artifact.add(kRaw, "x", at(first));
      artifact.add(kRaw, "y", at(second));
    };
  };
  return {
      {"one name twice", two("a", "a"), Code::kInvalid, "'a' stands there twice"},
      {"two names of another case",
       two("Model.bin", "model.bin"),
       Code::kInvalid,
       "'Model.bin' and 'model.bin'"},
      {"two directories of another case", two("A/x", "a/y"), Code::kInvalid, "'A' and 'a'"},
      {"a file that is a directory",
       two("a/b", "a"),
       Code::kInvalid,
       "both a file and a directory"},
      {"a directory that is a file",
       two("a", "a/b"),
       Code::kInvalid,
       "both a file and a directory"},
      {"two seals",
       two("weighbridge.seal", "weighbridge.seal"),
       Code::kInvalid,
       "'weighbridge.seal' stands there twice"},
      {"one name twice in an archive",
       tar(tar_of({{.path = "a"}, {.path = "./a"}})),
       Code::kInvalid,
       "'a' stands there twice"},
      {"an archive that overwrites a layer",
       [](MadeArtifact& artifact) {
         artifact.add(kRaw, "x", at("a"));
         artifact.add(kTar, entry("a", '0'));
       },
       Code::kInvalid,
       "'a' stands there twice"},
      {"two archives with one file",
       [](MadeArtifact& artifact) {
         artifact.add(kTar, tar_of({{.path = "a", .body = "1"}}));
         artifact.add(kTar, tar_of({{.path = "A", .body = "2"}}));
       },
       Code::kInvalid,
       "'a' and 'A'"},
  };
}

std::vector<Hostile> kinds() {
  return {
      {"a symbolic link",
       tar(entry("l", '2', "/etc")),
       Code::kUnsupported,
       "'l' is a symbolic link"},
      {"a link to a file beside it",
       tar(entry("l", '2', "model")),
       Code::kUnsupported,
       "a symbolic link"},
      {"a link and a file through it",
       tar(tar_of({{.path = "d", .type = '2', .link = "/tmp"}, {.path = "d/x"}})),
       Code::kUnsupported,
       "'d' is a symbolic link"},
      {"a hard link",
       tar(entry("h", '1', "/etc/shadow")),
       Code::kUnsupported,
       "'h' is a hard link"},
      {"a character device", tar(entry("null", '3')), Code::kUnsupported, "'null' is a device"},
      {"a block device", tar(entry("sda", '4')), Code::kUnsupported, "'sda' is a device"},
      {"a pipe", tar(entry("p", '6')), Code::kUnsupported, "'p' is a pipe"},
      {"a sparse file", tar(entry("s", 'S')), Code::kUnsupported, "'s' is a sparse file"},
      {"a sparse file of pax",
       tar(pax({{"GNU.sparse.major", "1"}}) + entry("s", '0')),
       Code::kUnsupported,
       "sparse"},
      {"an unknown kind of entry", tar(entry("z", 'Z')), Code::kUnsupported, "'z' is an entry"},
      {"a raw layer that says it is a link",
       raw(metadata("l", R"({"typeflag":50})")),
       Code::kUnsupported,
       "the metadata of 'l'"},
      {"a layer with no name",
       [](MadeArtifact& artifact) { artifact.add("application/octet-stream", "x"); },
       Code::kUnsupported,
       "has no title"},
      {"a ModelPack layer of an unknown encoding",
       [](MadeArtifact& artifact) {
         artifact.add("application/vnd.cncf.model.weight.v1.rar", "x", at("a"));
       },
       Code::kUnsupported,
       "v1.rar"},
      {"a layer that only looks like an archive",
       [](MadeArtifact& artifact) { artifact.add("application/startar", "x"); },
       Code::kUnsupported,
       "has no title"},
      {"no layer at all", [](MadeArtifact&) {}, Code::kNotFound, "no files"},
  };
}

std::vector<Hostile> lies() {
  return {
      {"metadata of another size",
       raw(metadata("a", R"({"size":2})")),
       Code::kCorrupt,
       "not that of the layer"},
      {"metadata that is no JSON", raw(metadata("a", "{")), Code::kCorrupt, "the metadata of 'a'"},
      {"metadata with a mode that is none",
       raw(metadata("a", R"({"mode":"x"})")),
       Code::kCorrupt,
       "the metadata of 'a'"},
      {"metadata that nests deeply",
       raw(metadata("a", std::string(5000, '[') + std::string(5000, ']'))),
       Code::kCorrupt,
       "the metadata of 'a'"},
      {"metadata of 100 KiB",
       raw(metadata("a", std::string(100'000, ' '))),
       Code::kExhausted,
       "too long"},
      {"a blob of another digest",
       [](MadeArtifact& artifact) {
         artifact.blobs[artifact.add(kRaw, "x", at("a")).digest.text()] = "y";
       },
       Code::kCorrupt,
       "not what its descriptor says"},
      {"an archive of another digest",
       [](MadeArtifact& artifact) {
         const std::string wrong = tar_of({{.path = "a", .body = "y"}});
         artifact.blobs[artifact.add(kTar, tar_of({{.path = "a", .body = "x"}})).digest.text()] =
             wrong;
       },
       Code::kCorrupt,
       "expected sha256:"},
      {"a layer longer than it says",
       [](MadeArtifact& artifact) { artifact.add(kTar, entry("a", '0')).size -= 512; },
       Code::kCorrupt,
       "longer"},
      {"a layer shorter than it says",
       [](MadeArtifact& artifact) { artifact.add(kTar, entry("a", '0')).size += 512; },
       Code::kCorrupt,
       "instead of"},
      {"one digest with two sizes",
       [](MadeArtifact& artifact) {
         artifact.add(kRaw, "x", at("a"));
         artifact.add(kRaw, "x", at("b")).size = 2;
       },
       Code::kCorrupt,
       "elsewhere in the manifest"},
      {"sizes that add up to more than there is",
       [](MadeArtifact& artifact) {
         constexpr std::uint64_t kHuge = std::numeric_limits<std::int64_t>::max();
         artifact.add(kRaw, "x", at("a")).size = kHuge;
         artifact.add(kRaw, "y", at("b")).size = kHuge;
       },
       Code::kCorrupt,
       ""},
  };
}

std::vector<Hostile> broken_archives() {
  const std::string large(512, 'x');
  return {
      {"an entry longer than the archive",
       tar(tar_entry({.path = "a", .body = "x", .size_field = "00000010000"}) + tar_end()),
       Code::kCorrupt,
       "ends in the middle"},
      {"an entry of 8 EiB",
       tar(tar_entry(
               {.path = "a",
                .size_field = std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)}) +
           tar_end()),
       Code::kExhausted,
       "'a' has 9223372036854775807 bytes"},
      {"an entry of more than 64 bits",
       tar(tar_entry({.path = "a", .size_field = std::string(12, '\xff')}) + tar_end()),
       Code::kCorrupt,
       "no number that can be"},
      {"an entry of a negative pax size",
       tar(pax({{"size", "-1"}}) + entry("a", '0')),
       Code::kCorrupt,
       "no number"},
      {"a size that is no octal number",
       tar(tar_entry({.path = "a", .size_field = "9999999999\0"}) + tar_end()),
       Code::kCorrupt,
       "no octal number"},
      {"a size for all entries",
       tar(pax({{"size", "9"}}, 'g') + entry("a", '0')),
       Code::kCorrupt,
       "for all entries"},
      {"a pax record longer than its header",
       tar(tar_entry({.path = "p", .body = "99 path=x\n", .type = 'x'}) + entry("a", '0')),
       Code::kCorrupt,
       "no list of records"},
      {"a pax record of length 0",
       tar(tar_entry({.path = "p", .body = "0 path=x\n", .type = 'x'}) + entry("a", '0')),
       Code::kCorrupt,
       "no list of records"},
      {"a directory with a body",
       tar(tar_entry({.path = "d/", .body = large, .type = '5'}) + tar_end()),
       Code::kCorrupt,
       "'d' has a body"},
      {"a wrong checksum",
       tar(tar_of({{.path = "a", .break_checksum = true}})),
       Code::kCorrupt,
       "checksum"},
      {"an archive without its end",
       tar(tar_entry({.path = "a", .body = "x"})),
       Code::kCorrupt,
       "ends in the middle"},
      {"a file behind the end",
       tar(entry("a", '0') + tar_entry({.path = "../b"})),
       Code::kCorrupt,
       "behind its end"},
      {"a file between the two blocks of the end",
       tar(std::string(512, '\0') + tar_entry({.path = "a"}) + tar_end()),
       Code::kCorrupt,
       "follows a block of zeros"},
      {"an archive that is none", tar(std::string(2048, 'x')), Code::kCorrupt, "damaged"},
      {"an empty archive layer", tar(""), Code::kCorrupt, "ends in the middle"},
  };
}

std::vector<Hostile> bombs() {
  const std::string zeros(70ULL << 20U, '\0');
  const std::string gz = "application/vnd.cncf.model.weight.v1.tar+gzip";
  const std::string zst = "application/vnd.cncf.model.weight.v1.tar+zstd";
  const auto layer = [](const std::string& type, const std::string& bytes) {
    return [=](MadeArtifact& artifact) { artifact.add(type, bytes); };
  };
  return {
      {"a gzip bomb",
       layer(gz, gzip(tar_entry({.path = "a", .body = zeros}))),
       Code::kExhausted,
       "'a' has"},
      {"zeros without end behind the archive",
       layer(zst, zstd(entry("a", '0') + zeros)),
       Code::kExhausted,
       "more than 1000 times"},
      {"gzip that is damaged",
       layer(gz, gzip(entry("a", '0')).substr(0, 40)),
       Code::kCorrupt,
       "ends in the middle"},
      {"gzip that is none", layer(gz, entry("a", '0')), Code::kCorrupt, "gzip stream is damaged"},
      {"zstd that is none", layer(zst, entry("a", '0')), Code::kCorrupt, "zstd stream is damaged"},
      {"bytes behind the gzip stream",
       layer(gz, gzip(entry("a", '0')) + "x"),
       Code::kCorrupt,
       "gzip stream"},
      {"extended headers of 2 MiB",
       tar(pax({{"comment", std::string(2 << 20, 'x')}}) + entry("a", '0')),
       Code::kExhausted,
       "extensions"},
      {"40,000 layers",
       [](MadeArtifact& artifact) {
         for (int i = 0; i < 40'000; ++i) {
           artifact.manifest.layers.push_back(registry::describe("application/x", "x"));
         }
       },
       Code::kExhausted,
       ""},
      {"100,001 files in an archive",
       [](MadeArtifact& artifact) {
         std::string bytes;
         for (int i = 0; i <= 100'000; ++i) {
           bytes += tar_entry({.path = fmt::format("f{}", i)});
         }
         artifact.add(kTar, bytes + tar_end());
       },
       Code::kExhausted,
       "more than 100000 files"},
  };
}

std::vector<Hostile> parts() {
  const auto two = [](Annotations first, Annotations second) {
    return [=](MadeArtifact& artifact) {
      artifact.add(kRaw, "abc", first);
      artifact.add(kRaw, "de", second);
    };
  };
  Annotations other_file = part("0", "2");
  other_file[std::string(kPartFile)] = "n";
  Annotations leading_out = part("0", "1");
  leading_out[std::string(kPartFile)] = "../m";
  return {
      {"parts with a gap",
       two(part("0", "6"), part("4", "6")),
       Code::kCorrupt,
       "begins at 4 instead of 3"},
      {"parts that overlap",
       two(part("0", "5"), part("2", "5")),
       Code::kCorrupt,
       "begins at 2 instead of 3"},
      {"parts that do not begin at 0",
       two(part("1", "6"), part("4", "6")),
       Code::kCorrupt,
       "begins at 1 instead of 0"},
      {"parts that are longer than the file",
       two(part("0", "4"), part("3", "4")),
       Code::kCorrupt,
       "longer than what is left"},
      {"a part that is missing",
       two(part("0", "9"), part("3", "9")),
       Code::kCorrupt,
       "the last one is missing"},
      {"a part of another file in between",
       two(part("0", "5"), other_file),
       Code::kCorrupt,
       "the last one is missing"},
      {"a file between parts",
       two(part("0", "5"), at("x")),
       Code::kCorrupt,
       "the last one is missing"},
      {"parts that disagree about the size",
       two(part("0", "5"), part("3", "6")),
       Code::kCorrupt,
       "disagree"},
      {"a part without its place",
       two(part("", "5"), part("3", "5")),
       Code::kCorrupt,
       "dev.weighbridge.offset"},
      {"a part that leads out", raw(leading_out), Code::kInvalid, "'../m'"},
  };
}

class HostileArtifact : public ::testing::TestWithParam<std::vector<Hostile> (*)()> {};

TEST_P(HostileArtifact, IsRefusedByName) {
  for (const Hostile& hostile : GetParam()()) {
    MadeArtifact artifact = made_artifact(kModelConfigType, kModelManifestType);
    hostile.make(artifact);
    const auto files = read_all(artifact);
    ASSERT_FALSE(files.ok()) << hostile.name;
    EXPECT_EQ(files.error().code(), hostile.code)
        << hostile.name << ": " << files.error().message();
    EXPECT_THAT(files.error().message(), HasSubstr(hostile.says)) << hostile.name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All,
    HostileArtifact,
    ::testing::Values(paths, clashes, kinds, lies, broken_archives, bombs, parts));

}  // namespace
}  // namespace weighbridge::pack
