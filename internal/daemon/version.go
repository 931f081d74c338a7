package daemon

import (
	"runtime/debug"
)

// Release is the version of the source tree; -ldflags "-X portsyncd/internal/daemon.Release=..." sets
// another.
var Release = "0.1.0"

// commit is the commit the binary was built from, where -ldflags "-X
// portsyncd/internal/daemon.commit=..." names it: in a source archive the toolchain cannot know.
var commit string

// Revision returns the commit the binary was built from, if the build or the
// toolchain knows.
func Revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
