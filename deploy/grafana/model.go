package main

// The types below are a subset of Grafana's dashboard JSON model
// (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).

// schemaVersion is the version of Grafana 10.4. Newer versions of Grafana convert it.
const schemaVersion = 39

type object = map[string]any

// source refers to the data source that is selected in the dashboard.
var source = object{"type": "prometheus", "uid": "${datasource}"}

type modelDashboard struct {
	UID           string       `json:"uid"`
	Title         string       `json:"title"`
	Description   string       `json:"description"`
	Tags          []string     `json:"tags"`
	SchemaVersion int          `json:"schemaVersion"`
	Version       int          `json:"version"`
	Editable      bool         `json:"editable"`
	GraphTooltip  int          `json:"graphTooltip"` // 1: shared crosshair
	Refresh       string       `json:"refresh"`
	Time          object       `json:"time"`
	Timezone      string       `json:"timezone"`
	Links         []object     `json:"links"`
	Templating    object       `json:"templating"`
	Annotations   object       `json:"annotations"`
	Panels        []modelPanel `json:"panels"`
}

type modelPanel struct {
	ID              int           `json:"id"`
	Type            string        `json:"type"`
	Title           string        `json:"title"`
	Description     string        `json:"description,omitempty"`
	GridPos         gridPos       `json:"gridPos"`
	Datasource      object        `json:"datasource,omitempty"`
	Targets         []modelTarget `json:"targets,omitempty"`
	FieldConfig     object        `json:"fieldConfig,omitempty"`
	Options         object        `json:"options,omitempty"`
	Transformations []object      `json:"transformations,omitempty"`
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type modelTarget struct {
	RefID        string `json:"refId"`
	Datasource   object `json:"datasource"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
	Instant      bool   `json:"instant"`
	Range        bool   `json:"range"`
	Format       string `json:"format"`
}

func (d *dashboard) model() modelDashboard {
	m := modelDashboard{
		UID: d.uid, Title: d.title, Description: d.description, Tags: []string{"portsyncd"},
		SchemaVersion: schemaVersion, Version: 1, Editable: true, GraphTooltip: 1,
		Refresh: "30s", Time: object{"from": "now-1h", "to": "now"}, Timezone: "browser",
		Links: []object{{
			"type": "dashboards", "title": "portsyncd", "tags": []string{"portsyncd"},
			"asDropdown": true, "keepTime": true, "includeVars": true,
		}},
		Templating:  object{"list": d.choices()},
		Annotations: object{"list": d.annotations()},
	}
	y := 0
	add := func(p modelPanel) {
		p.ID = len(m.Panels) + 1
		m.Panels = append(m.Panels, p)
	}
	for _, r := range d.rows {
		add(modelPanel{Type: "row", Title: r.title, GridPos: gridPos{H: 1, W: gridWidth, Y: y}})
		y++
		x := 0
		for i := range r.panels {
			p := &r.panels[i]
			m := p.model()
			m.GridPos = gridPos{H: r.height, W: p.width, X: x, Y: y}
			add(m)
			x += p.width
		}
		y += r.height
	}
	return m
}

func (d *dashboard) choices() []object {
	list := []object{{"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"}}
	for _, v := range d.variables {
		list = append(list, object{
			"type": "query", "name": v.name, "label": v.label, "datasource": source,
			"query":   object{"query": v.query, "refId": v.name},
			"refresh": 2, // whenever the time range changes
			"sort":    7, // natural: Ethernet4 before Ethernet12
		})
	}
	return list
}

// annotations returns the events that are marked in each time series panel: restarts of the daemon and,
// on the dashboard of a port, link-down transitions. They are computed from metrics, because Grafana
// cannot read /events without a plugin.
func (d *dashboard) annotations() []object {
	process, port := `job="$job"`, ""
	for _, v := range d.variables {
		switch v {
		case chooseInstance:
			process += `, instance="$instance"`
		case choosePort:
			port = process + `, port="$port"`
		}
	}
	annotation := func(name, color, expr, title string) object {
		return object{
			"name": name, "datasource": source, "enable": true, "iconColor": color,
			"expr": expr, "step": "30s", "titleFormat": title, "tagKeys": "instance",
		}
	}
	list := []object{annotation("Restarts", "orange",
		`changes(process_start_time_seconds{`+process+`}[$__rate_interval]) > 0`, "portsyncd restarted on {{instance}}")}
	if port != "" {
		list = append(list, annotation("Link down", "red",
			`increase(portsyncd_port_carrier_down_changes_total{`+port+`}[$__rate_interval]) > 0`, "{{instance}} {{port}} link down"))
	}
	return list
}

func (p *panel) model() modelPanel {
	m := modelPanel{
		Type: p.kind, Title: p.title, Description: p.description, Datasource: source,
		FieldConfig: object{"defaults": p.defaults(), "overrides": p.overrides()},
		Options:     p.options(),
	}
	// Panels that show a single value use instant queries, other panels use range queries.
	instant := p.kind == "stat" || p.kind == "table" || p.kind == "bargauge"
	format := "time_series"
	switch p.kind {
	case "table":
		format = "table"
		m.Transformations = p.join()
	case "heatmap":
		format = "heatmap"
	}
	for i, q := range p.queries {
		m.Targets = append(m.Targets, modelTarget{
			RefID: string(rune('A' + i)), Datasource: source, Expr: q.expr, LegendFormat: q.legend,
			Instant: instant, Range: !instant, Format: format,
		})
	}
	return m
}

func (p *panel) defaults() object {
	d := object{"unit": p.unit}
	if p.flag {
		yes, no := "green", "red"
		if p.badIsYes {
			yes, no = no, yes
		}
		d["min"], d["max"] = 0, 1
		d["mappings"] = []object{{"type": "value", "options": object{
			"1": object{"text": "yes", "color": yes}, "0": object{"text": "no", "color": no},
		}}}
	}
	steps := []object{{"color": "green", "value": nil}}
	if p.zeroIsGood {
		// Less than the smallest count. Extrapolated counts can be less than 1.
		steps = append(steps, object{"color": "red", "value": 0.000001})
	}
	d["thresholds"] = object{"mode": "absolute", "steps": steps}
	if p.kind == "timeseries" {
		custom := object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false}
		if p.stack {
			custom["stacking"] = object{"mode": "normal", "group": "A"}
		}
		d["custom"] = custom
	}
	if p.linkTo != "" {
		d["links"] = []object{{"title": "Open", "url": p.link()}}
	}
	return d
}

// link returns the URL of the linked dashboard, with variables for the selected value.
func (p *panel) link() string {
	url := "/d/" + p.linkTo + "?var-datasource=${datasource}&var-job=${job}&${__url_time_range}&var-instance="
	switch {
	case p.kind == "table" && len(p.labels) > 0:
		return url + "${instance}&var-port=${__data.fields.Port}"
	case p.kind == "table":
		return url + "${__data.fields.Switch}"
	}
	return url + "${__field.labels.instance}&var-port=${__field.labels.port}"
}

func (p *panel) options() object {
	switch p.kind {
	case "stat":
		return object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "none"}
	case "bargauge":
		return object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "orientation": "horizontal", "displayMode": "basic"}
	case "timeseries":
		return object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	case "state-timeline":
		return object{"showValue": "never", "mergeValues": true, "legend": object{"showLegend": false}}
	case "heatmap":
		return object{"calculate": false, "yAxis": object{"unit": p.unit}, "color": object{"scheme": "Blues", "steps": 64}}
	}
	return object{"showHeader": true}
}
