package main

// dashboard describes a dashboard. model.go converts it to Grafana's JSON.
type dashboard struct {
	uid         string // must not change, because links and bookmarks contain it
	title       string
	description string
	variables   []variable
	rows        []row
}

// row is a row of panels under a heading.
type row struct {
	title  string
	height int // of each panel, in units of 30 pixels
	panels []panel
}

// panel shows queries. The widths of the panels of a row add up to gridWidth.
type panel struct {
	title       string
	description string // what it shows, and the normal value
	kind        string // stat, timeseries, table, state-timeline, heatmap, bargauge
	unit        string // a Grafana unit; "short" for plain numbers
	width       int
	queries     []query
	flag        bool              // values are 1 for yes and 0 for no
	badIsYes    bool              // with flag: 1 is shown in red
	zeroIsGood  bool              // values above 0 are shown in red
	stack       bool              // stack the series
	columns     map[string]string // units of the columns of a table, if different from unit
	linkTo      string            // uid of the dashboard to link to
}

// query is a PromQL query with the legend of its series. The queries of a table are
// its columns, joined by instance.
type query struct{ expr, legend string }

// variable is a selection at the top of a dashboard.
type variable struct{ name, label, query string }

const gridWidth = 24

// The variables. Each one depends on those before it.
var (
	chooseJob      = variable{"job", "Job", `label_values(portsyncd_build_info, job)`}
	chooseInstance = variable{"instance", "Switch", `label_values(portsyncd_build_info{job="$job"}, instance)`}
	choosePort     = variable{"port", "Port", `label_values(portsyncd_port_oper_up{job="$job", instance="$instance"}, port)`}
)

func stat(title, unit, expr, description string) panel {
	return panel{kind: "stat", title: title, unit: unit, width: 4, description: description, queries: []query{{expr, title}}}
}

func lines(title, unit, description string, queries ...query) panel {
	return panel{kind: "timeseries", title: title, unit: unit, width: 12, description: description, queries: queries}
}

// states returns a panel of flags over time.
func states(title, description string, queries ...query) panel {
	return panel{kind: "state-timeline", title: title, unit: "short", width: 24, description: description, queries: queries, flag: true}
}
