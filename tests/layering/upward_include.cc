// Compiled with what `base` may see: this must fail, for sync/ stands above base/.
#include "base/result.h"
#include "sync/guarded.h"
