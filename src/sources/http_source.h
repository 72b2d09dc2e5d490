#pragma once

#include <memory>

#include "net/http_client.h"
#include "sources/source.h"

namespace weighbridge::sources {

// A file behind a URL, or a directory where the URL's path ends in '/' (which cannot be listed).
// Asks with GET alone, so that servers without HEAD work; a server without ranges is read as one
// stream, one without a length is counted once, up to 1 TiB (kUnsupported beyond). A query (a
// signature, a token) is sent with every request and printed nowhere. For a seal, 403, 404 and 410
// mean that there is none. `client` must outlive the source.
base::Result<std::unique_ptr<Source>> open_http_source(net::HttpClient& client,
                                                       const model::Ref& ref);

}  // namespace weighbridge::sources
