import json
from lib.toolset import load_toolset
T=load_toolset()
for t,s in T.tools.items():
    if t.startswith(('agentM','commandM','memoryM','get')):
        p=dict(s.parameters); props={k:v for k,v in p.get('properties',{}).items() if k!='context'}
        print('##',t,'req',p.get('required')); 
        for k in p:
            if k not in('properties','required','type'): print('   ',k,json.dumps(p[k])[:300])
        for k,v in props.items(): print('  -',k,json.dumps(v)[:1200])
