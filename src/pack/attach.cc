#include "pack/attach.h"

#include <random>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "pack/blob_upload.h"
#include "pack/local_bytes.h"
#include "pack/media_types.h"
#include "sources/file_source.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using registry::Descriptor;

// The file as a layer, uploaded.
Result<Descriptor> upload_file(const Call& call,
                               io::FileSystem& files,
                               const BlobTarget& target,
                               const Attachment& attachment) {
  const io::FileInfo info = TRY(files.info(attachment.path));
  if (info.kind != io::Kind::kFile) {
    return Error(Code::kInvalid, "only a file can be attached").in_file(attachment.path);
  }
  model::File file;
  file.path = attachment.path;
  file.size = info.size;
  file.validator = sources::validator_of(info);
  target.progress.wanted_bytes += file.size;
  WholeFileBytes bytes(TRY(LocalFile::open(files, attachment.path, file)), file.size, {}, false);
  const auto uploaded = TRY(upload_blob(call, target, attachment.path, bytes));
  const std::size_t slash = attachment.path.rfind('/');
  return Descriptor{
      attachment.media_type,
      uploaded.digest,
      file.size,
      {},
      {{std::string(kTitle), attachment.path.substr(slash == std::string::npos ? 0 : slash + 1)}}};
}

Result<Descriptor> find_subject(const Call& call,
                                registry::Client& client,
                                const registry::Reference& to,
                                const Patience& patience) {
  const auto found = TRY(patience.run(
      call, to.text(), [&] { return client.head_manifest(call, to.repository, to.name()); }));
  if (!found) {
    return Error(Code::kNotFound, "there is no such artifact").in_file("oci://" + to.text());
  }
  return Descriptor{found->media_type, found->digest, found->size, {}, {}};
}

}  // namespace

Result<Attached> attach(const Call& call,
                        io::FileSystem& files,
                        registry::Client& client,
                        const registry::Reference& to,
                        const Attachment& attachment,
                        transfer::Progress& progress) {
  const Patience patience(sync::seeded_random(std::random_device{}()), progress);
  const BlobTarget target{client, to.repository, {}, patience, progress};
  Descriptor subject = TRY(find_subject(call, client, to, patience));
  registry::Manifest manifest{.artifact_type = attachment.artifact_type,
                              .config = registry::empty_descriptor(),
                              .layers = {},
                              .subject = subject,
                              .annotations = attachment.annotations};
  manifest.layers.push_back(TRY(upload_file(call, files, target, attachment)));
  MemoryBytes empty(std::as_bytes(std::span(registry::kEmptyJson)));
  TRY(upload_blob(call, target, "the empty config", empty));
  const std::string text = registry::write_manifest(manifest);
  Descriptor made = registry::describe(registry::kManifestType, text);
  const auto put = TRY(patience.run(call, made.digest.text(), [&] {
    return client.put_manifest(call, to.repository, made.digest, registry::kManifestType, text);
  }));
  if (put.subject_needs_tag) {
    made.artifact_type = attachment.artifact_type;
    made.annotations = attachment.annotations;
    TRY(patience.run(call, "the list of attachments", [&] {
      return client.add_to_referrers_tag(call, to.repository, subject.digest, made);
    }));
  }
  return Attached{std::move(made.digest), std::move(subject.digest)};
}

}  // namespace weighbridge::pack
