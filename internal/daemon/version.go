package daemon

import "runtime/debug"

// Release is the version of portsyncd. The linker flag -X portsyncd/internal/daemon.Release=...
// overrides the version.
var Release = "0.1.0"

// commit is the source commit for a build from an archive, where the toolchain has no VCS
// information. The linker flag -X portsyncd/internal/daemon.commit=... sets the commit.
var commit string

// Revision returns the source commit of this binary, or "unknown".
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
