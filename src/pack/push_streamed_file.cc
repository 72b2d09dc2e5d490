#include <utility>

#include <fmt/format.h>

#include "base/units.h"
#include "pack/push_file.h"
#include "pack/streamed_bytes.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

}  // namespace

Result<PushedContent> push_streamed_file(const Call& call,
                                         const FilePush& push,
                                         const model::File& file,
                                         const formats::SealedFile* trusted) {
  if (file.size > push.layer_limit_bytes.value_or(file.size)) {
    return Error(Code::kUnsupported,
                 fmt::format("{} takes no layer of {}, and only a local file is split",
                             push.target.client.host(),
                             base::format_bytes(file.size)))
        .in_file(file.path)
        .with_hint("Pull the model first, and push the directory.");
  }
  std::vector<base::Range> hinted;
  if (trusted == nullptr) {
    hinted = TRY(push.target.patience.run(
        call, file.path, [&] { return transfer::hinted_tensors(call, push.from.source, file); }));
  }
  StreamedBytes bytes(
      {push.parts.transfer, push.from.source, file, std::move(hinted), push.target.progress});
  const auto uploaded =
      TRY(upload_blob(call, push.target, push.from.source.printable(file.path), bytes));
  PushedContent content;
  if (trusted != nullptr) {
    content.sealed = *trusted;
  } else {
    if (!bytes.described()) {  // it is there, and its root is not known: read for the new seal
      TRY(bytes.seek(call, file.size));
      TRY(bytes.finish(call));
    }
    content.sealed = *bytes.described();
  }
  content.sealed.path = file.path;
  content.sealed.size = file.size;
  content.sealed.executable = file.executable;
  content.layers = {uploaded.digest};
  content.how = uploaded.how;
  return content;
}

}  // namespace weighbridge::pack
